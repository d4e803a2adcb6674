// SPDX-License-Identifier: MIT
// Does nothing: for tests of what can't be run.
int main(void) { return 0; }
