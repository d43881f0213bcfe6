/* storage/mutant.c - which deliberately broken variant runs; see mutant.h. */
#include "storage/mutant.h"

#ifdef RINGSTACK_MUTANTS
enum mutant mutant_now = MUTANT_NONE;
#endif
