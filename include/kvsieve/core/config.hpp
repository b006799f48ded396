// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Every macro of the library, in one place. None has to be set by a user.
#pragma once

/// Marks what runs on the host and, under nvcc, on the device too.
#if defined(__CUDACC__)
#define KVSIEVE_HD __host__ __device__
#else
#define KVSIEVE_HD
#endif

/// Before a template that KVSIEVE_HD marks and that calls what it is given: on the host that may be host code.
#if defined(__CUDACC__)
#define KVSIEVE_CALLS_GIVEN _Pragma("nv_exec_check_disable")
#else
#define KVSIEVE_CALLS_GIVEN
#endif

/// Marks the hot inner pieces that have to be inlined into their loop to stay in registers.
#define KVSIEVE_INLINE inline __attribute__((always_inline))

/// Marks a loop that wants all registers: beside other code compilers keep what is constant there in them.
#define KVSIEVE_APART __attribute__((noinline))

/// Unrolls the loop that follows; its trip count is a compile-time constant of at most 32.
#if defined(__CUDA_ARCH__) || defined(__clang__)
#define KVSIEVE_UNROLL _Pragma("unroll")
#elif defined(__CUDACC__)
#define KVSIEVE_UNROLL
#else
#define KVSIEVE_UNROLL _Pragma("GCC unroll 32")
#endif

/// Keeps the loop that follows a loop.
#if defined(__CUDA_ARCH__)
#define KVSIEVE_NO_UNROLL _Pragma("unroll 1")
#else
#define KVSIEVE_NO_UNROLL
#endif

/// 1: calls on the device ask the driver whether kernels reach the memory that they are given, and refuse what lies in
/// the host's own. So it is where NDEBUG is not defined, or where a user says so. Only nvcc's units look at it.
#if !defined(KVSIEVE_CHECK_POINTERS)
#if defined(NDEBUG)
#define KVSIEVE_CHECK_POINTERS 0
#else
#define KVSIEVE_CHECK_POINTERS 1
#endif
#endif

/// The instruction set that host fragments are built for. It is part of the name of every symbol that depends on it,
/// so translation units compiled with different -m flags (or by nvcc, which takes no vector types) link together.
#if defined(__CUDACC__) || defined(KVSIEVE_HOST_ARRAYS)
#define KVSIEVE_TARGET array
#define KVSIEVE_HOST_VECTORS 0
#define KVSIEVE_HOST_LANES 8
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) &&    \
    ((defined(__AMX_TILE__) && defined(__AMX_BF16__)) || (defined(__AMXTILE__) && defined(__AMXBF16__))) && \
    defined(__linux__)
#define KVSIEVE_TARGET avx512_amx
#define KVSIEVE_HOST_VECTORS 1
#define KVSIEVE_HOST_LANES 16
#define KVSIEVE_HOST_TILES 1
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define KVSIEVE_TARGET avx512
#define KVSIEVE_HOST_VECTORS 1
#define KVSIEVE_HOST_LANES 16
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define KVSIEVE_TARGET avx2
#define KVSIEVE_HOST_VECTORS 1
#define KVSIEVE_HOST_LANES 8
#else
#define KVSIEVE_TARGET base128
#define KVSIEVE_HOST_VECTORS 1
#define KVSIEVE_HOST_LANES 4
#endif
#ifndef KVSIEVE_HOST_TILES
#define KVSIEVE_HOST_TILES 0
#endif
