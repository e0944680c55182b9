/* A Cortex-M under QEMU: start-up code, semihosting files and a hardware counter. */
#include "harness.h"
#include "model.h"

/* Library calls would put library code into the memory that the network is charged for. */
#pragma GCC optimize("no-tree-loop-distribute-patterns")

enum { SYS_OPEN = 1, SYS_CLOSE = 2, SYS_WRITE = 5, SYS_READ = 6, SYS_EXIT = 0x18 };

static const struct {
    const char *text;
    uint32_t length;
} names[] = {{"outputs.bin", 11}, {"trace.bin", 9}, {"stack.bin", 9}, {"inputs.bin", 10}};
static int handles[4];

static int semihost(int operation, const void *arguments)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static int open_file(int index, int mode)
{
    const uint32_t arguments[] = {(uint32_t)names[index].text, (uint32_t)mode, names[index].length};
    return semihost(SYS_OPEN, arguments);
}

int platform_read(void *to, uint32_t bytes)
{
    const uint32_t arguments[] = {(uint32_t)handles[3], (uint32_t)to, bytes};
    return semihost(SYS_READ, arguments) == 0;
}

void platform_write(int file, const void *from, uint32_t bytes)
{
    const uint32_t arguments[] = {(uint32_t)handles[file], (uint32_t)from, bytes};
    semihost(SYS_WRITE, arguments);
}

#define REGISTER(address) (*(volatile uint32_t *)(address))

#if defined(HARNESS_CMSDK_TIMER)

/* CMSDK APB timer: counts down. */
static void start_timer(void)
{
    REGISTER(HARNESS_CMSDK_TIMER + 8) = 0xffffffffu;
    REGISTER(HARNESS_CMSDK_TIMER + 4) = 0xffffffffu;
    REGISTER(HARNESS_CMSDK_TIMER) = 1;
}

uint32_t platform_ticks(void)
{
    return ~REGISTER(HARNESS_CMSDK_TIMER + 4);
}

#else

/* System counter of the SSE-300: control frame, then the timer's view of it. */
static void start_timer(void)
{
    REGISTER(HARNESS_SSE_COUNTER) = 1;
}

uint32_t platform_ticks(void)
{
    return REGISTER(HARNESS_SSE_TIMER);
}

#endif

extern uint32_t model_stack_start[], model_stack_end[];
extern uint8_t data_start[], data_end[], data_load[], bss_start[], bss_end[];
extern uint8_t harness_bss_start[], harness_bss_end[];
enum { PATTERN = 0x5aa55aa5 };

__attribute__((naked, noinline)) static void call_on_stack(void (*function)(void), void *top)
{
    (void)function;
    (void)top;
    __asm__ volatile("push {r4, lr}\n\tmov r4, sp\n\tmov sp, r1\n\tblx r0\n\tmov sp, r4\n\tpop {r4, pc}");
}

void platform_run_model(void)
{
    call_on_stack(harness_run, model_stack_end);
}

uint32_t platform_stack_bytes(void)
{
    const uint32_t *word = model_stack_start;
    while (word < model_stack_end && *word == PATTERN)
        word++;
    return (uint32_t)((const char *)model_stack_end - (const char *)word);
}

__attribute__((noreturn)) void reset_handler(void);

void reset_handler(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    REGISTER(0xe000ed88) |= 0xfu << 20;
    __asm__ volatile("dsb\n\tisb");
#endif
    for (uint8_t *to = data_start, *from = data_load; to < data_end;)
        *to++ = *from++;
    for (uint8_t *to = bss_start; to < bss_end;)
        *to++ = 0;
    for (uint8_t *to = harness_bss_start; to < harness_bss_end;)
        *to++ = 0;
    for (uint32_t *word = model_stack_start; word < model_stack_end; word++)
        *word = PATTERN;
    for (int file = 0; file < 3; file++)
        handles[file] = open_file(file, 5);
    handles[3] = open_file(3, 1);
    start_timer();
    harness_main();
    for (int file = 0; file < 4; file++) {
        const uint32_t handle = (uint32_t)handles[file];
        semihost(SYS_CLOSE, &handle);
    }
    semihost(SYS_EXIT, (const void *)0x20026);
    for (;;)
        ;
}

extern uint32_t harness_stack_end[];

__attribute__((section(".vectors"), used)) const void *const vectors[16] = {harness_stack_end,
                                                                           (const void *)reset_handler};
