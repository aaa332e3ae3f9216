package uapi

import "fmt"

// A ShortError says that a structure was cut off before the fields that every
// supported kernel fills.
type ShortError struct {
	// Struct is the kernel's name of the structure.
	Struct string
	// Len is how many bytes there were, Min how many it takes.
	Len, Min int
}

// Error says which structure was cut off and where.
func (e *ShortError) Error() string {
	return fmt.Sprintf("struct %s of %d bytes is too short: at least %d are needed", e.Struct, e.Len, e.Min)
}

// A FamilyError says that a socket address is neither IPv4 nor IPv6.
type FamilyError struct {
	// Family is the address family found.
	Family uint16
}

// Error names the family.
func (e *FamilyError) Error() string {
	return fmt.Sprintf("socket address of family %d is neither IPv4 nor IPv6", e.Family)
}

// A HeaderError says that the header of an array that the kernel filled does
// not describe that array.
type HeaderError struct {
	// Struct is the kernel's name of the header, Field of the field.
	Struct, Field string
	// Value is what the field held.
	Value uint32
}

// Error names the field and its value.
func (e *HeaderError) Error() string {
	return fmt.Sprintf("struct %s: impossible %s %d", e.Struct, e.Field, e.Value)
}
