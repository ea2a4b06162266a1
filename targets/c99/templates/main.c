/* Runs the network on samples from stdin: whole numbers in text, channel first, one sample (or, where the input has a
 * time axis, one step) after the other. Prints the scores of each sample and the class that wins. With
 * the argument 1 each step prints every population's spikes first, with 2 their membranes too. */
#include <stdio.h>

#include "network.h"

static snn_input_t input[SNN_INPUTS];

static void print_spikes(void)
{
    const snn_state_t *state = snn_state();
    int32_t i;
    (void)state;
    (void)i;
#define PRINT(name, size, slots, count) \
    for (i = 0; i < size; i++) \
        printf("%ld ", (long)SNN_SPIKE(state->spikes_##name[(state->step - 1) % slots], count, i));
    SNN_SPIKES(PRINT)
#undef PRINT
}

static void print_membranes(void)
{
    const snn_state_t *state = snn_state();
    int32_t i;
#define PRINT(name, size) \
    for (i = 0; i < size; i++) \
        printf("%lld ", (long long)state->membrane_##name[i]);
    SNN_MEMBRANES(PRINT)
#undef PRINT
}

static void print_scores(void)
{
    int32_t i;
    for (i = 0; i < SNN_CLASSES; i++)
        printf("%lld ", (long long)snn_scores()[i]);
    printf("%ld\n", (long)snn_predict());
}

/* 1: read, 0: the end, -1: not what the network takes. */
static int read_input(void)
{
    int32_t i;
    for (i = 0; i < SNN_INPUTS; i++) {
        long value;
        const int found = scanf("%ld", &value);
        if (found == EOF && i == 0)
            return 0;
        if (found != 1 || value < SNN_INPUT_LOW || value > SNN_INPUT_HIGH)
            return -1;
        input[i] = (snn_input_t)value;
    }
    return 1;
}

int main(int argc, char **argv)
{
    const int record = argc > 1 ? argv[1][0] - '0' : 0;
    for (;;) {
        int t, found = 1;
        snn_reset();
        for (t = 0; t < SNN_STEPS; t++) {
            if (t == 0 || SNN_INPUT_EACH_STEP)
                found = read_input();
            if (found == 0 && t == 0)
                return 0;
            if (found != 1) {
                fprintf(stderr, "%d whole numbers in %ld..%ld make one input\n", (int)SNN_INPUTS, (long)SNN_INPUT_LOW,
                        (long)SNN_INPUT_HIGH);
                return 1;
            }
            if (snn_step(input))
                return 1;
            if (record > 0)
                print_spikes();
            if (record > 1)
                print_membranes();
            if (SNN_SCORES_EACH_STEP || t == SNN_STEPS - 1)
                print_scores();
        }
    }
}
