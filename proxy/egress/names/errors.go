package names

import (
	"errors"
	"net"
)

// notFound says that a name has no address in a family.
func notFound(q question) error {
	return &net.DNSError{Err: "no such host", Name: q.name, IsNotFound: true}
}

// explain makes one kind of error of those of net.Resolver. A name that the hosts file has
// in the other family alone is not found in this one.
func explain(err error, q question) error {
	var dns *net.DNSError
	var addr *net.AddrError
	switch {
	case err == nil, errors.As(err, &dns):
		return err
	case errors.As(err, &addr):
		return notFound(q)
	}
	return &net.DNSError{UnwrapErr: err, Err: err.Error(), Name: q.name, IsTemporary: true}
}
