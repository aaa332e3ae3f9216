package subopt

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"mpproxy/internal/bpfenv"
)

// A walker is the program that walks over TCP sockets, loaded. It serves one
// walk at a time.
type walker struct {
	kernel walkerObjects
	link   *link.Iter
}

// walkerObjects are the objects of subopt.bpf.c that a walk takes.
type walkerObjects struct {
	Program *ebpf.Program `ebpf:"mpproxy_walk"`
	Request *ebpf.Map     `ebpf:"request_of_walk"`
}

func (w *walker) open() error {
	options, err := bpfenv.LoadOptions()
	if err != nil {
		return err
	}
	if err := load(&w.kernel, 0, options); err != nil {
		return err
	}
	if w.link, err = link.AttachIter(link.IterOptions{Program: w.kernel.Program}); err != nil {
		return fmt.Errorf("make an iterator of the eBPF program: %w", err)
	}
	return nil
}

// walk lets the program look for the subflow in a network namespace, and returns
// what the program made of the request. The error may match ErrNoSubflow.
func (w *walker) walk(ctx context.Context, ns *namespace, r suboptRequest) (suboptRequest, error) {
	if err := w.kernel.Request.Put(uint32(0), &r); err != nil {
		return suboptRequest{}, fmt.Errorf("hand the request to the eBPF program: %w", err)
	}
	var sockets io.ReadCloser
	// The iterator keeps the namespace in which it was opened
	// (bpf_iter_init_seq_net, fs/proc/proc_net.c).
	err := ns.do(func() (err error) {
		sockets, err = w.link.Open()
		return err
	})
	if err != nil {
		return suboptRequest{}, fmt.Errorf("walk over the sockets: %w", err)
	}
	defer sockets.Close()
	return readWalk(ctx, sockets)
}

// readWalk reads as much as one request: the kernel stops at the first socket
// for which something was written.
func readWalk(ctx context.Context, sockets io.Reader) (suboptRequest, error) {
	b := make([]byte, requestSize)
	for {
		n, err := sockets.Read(b)
		switch {
		case n > 0:
			return decodeRequest(b[:n])
		case err == io.EOF:
			return suboptRequest{}, ErrNoSubflow
		case ctx.Err() != nil:
			return suboptRequest{}, ctx.Err()
		case errors.Is(err, unix.EAGAIN): // after a million sockets: go on
		case err != nil:
			return suboptRequest{}, fmt.Errorf("walk over the sockets: %w", err)
		}
	}
}

func (w *walker) close() error {
	var errs []error
	if w.link != nil {
		errs = append(errs, w.link.Close())
	}
	return errors.Join(append(errs, w.kernel.Program.Close(), w.kernel.Request.Close())...)
}
