// A TLS client of Go's standard library: reads "id TAB address TAB port TAB name TAB milliseconds" lines, optionally with "TAB file of roots", prints "id TAB ok" or "id TAB error".
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// A scripted server ends with this alert where a client that accepted what it saw would go on.
const scriptedEnd = "remote error: tls: access denied"

func ask(address, port, name string, patience time.Duration, roots *x509.CertPool) (err error) {
	dialer := net.Dialer{Timeout: patience}
	plain, err := dialer.Dial("tcp", net.JoinHostPort(address, port))
	if err != nil {
		return err
	}
	defer plain.Close()
	plain.SetDeadline(time.Now().Add(patience))
	verified := false
	connection := tls.Client(plain, &tls.Config{
		RootCAs:    roots,
		ServerName: name,
		VerifyConnection: func(tls.ConnectionState) error {
			verified = true
			return nil
		},
	})
	if err = connection.Handshake(); err != nil {
		if verified && err.Error() == scriptedEnd {
			return nil
		}
		return err
	}
	fmt.Fprintf(connection, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", name)
	// In TLS 1.3 a server that refuses says so only now.
	if _, err = connection.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func load(file string) *x509.CertPool {
	pem, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return roots
}

func main() {
	roots := load(os.Args[1])
	var lock sync.Mutex
	var group sync.WaitGroup
	places := make(chan struct{}, 8)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		group.Add(1)
		go func() {
			defer group.Done()
			places <- struct{}{}
			defer func() { <-places }()
			said := "ok"
			patience, err := time.ParseDuration(fields[4] + "ms")
			if err != nil {
				panic(err)
			}
			trusted := roots
			if len(fields) > 5 && fields[5] != "" {
				trusted = load(fields[5])
			}
			if err := ask(fields[1], fields[2], fields[3], patience, trusted); err != nil {
				said = strings.Join(strings.Fields(err.Error()), " ")
			}
			lock.Lock()
			defer lock.Unlock()
			fmt.Printf("%s\t%s\n", fields[0], said)
		}()
	}
	group.Wait()
}
