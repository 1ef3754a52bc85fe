/* SPDX-License-Identifier: ISC */
/* Give back what start-up touched: for processes that stand beside an instance and mostly sleep. */
#pragma once

/*
 * Drop this program's and its libraries' code and constants from memory (they come back from their files when
 * touched), and what malloc keeps. May be called at any time; cannot fail. Takes some tens of microseconds.
 */
void memory_trim(void);
