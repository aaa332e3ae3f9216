package subflowbpf

//go:generate go tool bpf2go -target bpfel,bpfeb -type record -type limits subflow subflow.bpf.c -- -fno-strict-aliasing -Wall -Wextra -Werror -I../../internal/bpfenv/include
