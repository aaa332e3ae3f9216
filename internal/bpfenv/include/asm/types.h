/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * linux/types.h asks for the files of this folder. Distributions keep them in a
 * folder that is named after a processor; eBPF is the same on all of them.
 */
#include <asm-generic/types.h>
