// Verifies chains with Go's crypto/x509: reads a JSON list of cases from a file, prints a JSON object of errors by id, "ok" without one.
package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

type testCase struct {
	Id, Leaf, Name string
	Roots, Sent    []string
	At             int64
}

func parse(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

func verify(c testCase) error {
	roots, sent := x509.NewCertPool(), x509.NewCertPool()
	for _, text := range c.Roots {
		root, err := parse(text)
		if err != nil {
			return err
		}
		roots.AddCert(root)
	}
	leaf, err := parse(c.Leaf)
	if err != nil {
		return err
	}
	for _, text := range c.Sent {
		// crypto/tls refuses a message with a certificate that it cannot parse
		issuer, err := parse(text)
		if err != nil {
			return err
		}
		sent.AddCert(issuer)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: sent, CurrentTime: time.Unix(c.At, 0), DNSName: c.Name})
	return err
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var cases []testCase
	if err := json.Unmarshal(text, &cases); err != nil {
		panic(err)
	}
	answers := map[string]string{}
	for _, c := range cases {
		answers[c.Id] = "ok"
		if err := verify(c); err != nil {
			answers[c.Id] = err.Error()
		}
	}
	out, _ := json.Marshal(answers)
	fmt.Println(string(out))
}
