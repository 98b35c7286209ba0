// Parses certificates with Go's standard library: reads "id TAB hex" lines, prints "id TAB ok" or "id TAB error".
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<26)
	for lines.Scan() {
		fields := strings.SplitN(lines.Text(), "\t", 2)
		der, err := hex.DecodeString(fields[1])
		if err == nil {
			_, err = x509.ParseCertificate(der)
		}
		said := "ok"
		if err != nil {
			said = strings.Join(strings.Fields(err.Error()), " ")
		}
		fmt.Printf("%s\t%s\n", fields[0], said)
	}
}
