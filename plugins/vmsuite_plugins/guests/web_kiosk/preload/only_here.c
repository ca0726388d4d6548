/* Keeps the library out of the browser's other processes, which have no screen. */

int unsetenv(const char *name);

__attribute__((constructor)) static void only_here(void)
{
	unsetenv("LD_PRELOAD");
}
