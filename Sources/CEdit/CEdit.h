// libedit's line editor, through its readline-compatible interface.
#include <stdio.h>
#include <stdlib.h>
#include <editline/readline.h>
