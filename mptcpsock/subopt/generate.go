package subopt

//go:generate go tool bpf2go -target bpfel,bpfeb -type ends -type verb -type request -type rule -type tally subopt subopt.bpf.c -- -fno-strict-aliasing -Wall -Wextra -Werror -I../../internal/bpfenv/include
