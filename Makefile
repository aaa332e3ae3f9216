# mpproxy: every target works with Go and Linux alone. As root all tests run;
# otherwise a user namespace is tried, and what cannot run is skipped, aloud.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS  = -s -w -X mpproxy/internal/buildinfo.version=$(VERSION)

# Pinned here and kept out of go.mod. It runs gofumpt, go vet and staticcheck, too; .golangci.yml says
# what else. "make fix" lets it repair what it can.
GOLANGCI = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

FOR     ?= 1h

export CGO_ENABLED ?= 0

.PHONY: help build demo test check fix race bench web lab kernels soak bpf clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

build: ## build both programs into bin/
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

demo: ## show the whole system over two emulated links, live
	@$(GO) run ./test/demo

test: ## run all tests, and say what was left out (about 5 minutes)
	@$(GO) test -timeout 15m -json ./... | $(GO) run ./test/report

check: ## formatting, linters, import directions, race detector
	$(GO) run $(GOLANGCI) run ./...
	$(GO) test -count 1 ./internal/archtest
	$(MAKE) race

fix: ## format all files, and repair what the linters can
	$(GO) run $(GOLANGCI) run --fix ./...

race: ## all tests but the scenarios with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 15m $$($(GO) list ./... | grep -v /scenarios)

bench: ## figures of the whole system, and micro-benchmarks of the hot paths
	$(GO) run ./test/bench
	$(GO) test -run '^$$' -bench . -benchtime 200ms ./mptcpsock/... ./proxy/... ./pathctl/...

web: ## a page in a headless Chromium and small fetches, directly, through mpproxy and others (WEB="-short": less)
	$(GO) run ./test/web $(WEB)

lab: ## repeat the founding experiments, stock kernel beside ours (EXP=name: one); writes docs/lab* and lab-samples/
	$(GO) run ./test/lab -exp '$(EXP)'

soak: ## an hour of traffic and trouble that must leave nothing behind (FOR=10m: shorter)
	$(GO) run ./test/soak -for '$(FOR)'

# KERNELS=-short runs less; go run ./test/kernels -help says what else there is.
kernels: ## run what depends on the kernel on Debian's Linux 6.1, 6.12 and 6.18, in QEMU (Debian; root installs it)
	@command -v qemu-system-x86_64 >/dev/null || apt-get install -y -qq --no-install-recommends qemu-system-x86
	$(GO) run ./test/kernels $(KERNELS)

# The eBPF programs, *.bpf.c, are committed in compiled form too: building needs no
# clang. objects.sha256 tells a test what they were compiled from, and with what.
BPF_PROGRAMS = pathctl/subflowbpf mptcpsock/subopt
BPF_PACKAGES = clang llvm libbpf-dev linux-libc-dev

bpf: ## compile the eBPF programs anew, with clang from Debian (root: installs it)
	@dpkg-query -W $(BPF_PACKAGES) >/dev/null 2>&1 || apt-get install -y $(BPF_PACKAGES)
	$(GO) generate $(addprefix ./,$(BPF_PROGRAMS))
	@for dir in $(BPF_PROGRAMS); do (cd $$dir && { echo "# $$(clang --version | head -n 1)"; \
		sha256sum generate.go *.bpf.* *_bpfe[bl].* ../../internal/bpfenv/include/*.h ../../internal/bpfenv/include/asm/*.h; \
	} >objects.sha256) || exit; done

clean: ## remove what build and lab made
	rm -rf bin lab-samples
