/* SPDX-License-Identifier: MIT */
/*
 * The descriptors that the library has open, so that a child of fork can close what it inherited: a
 * descriptor kept there would keep the parent's locks alive after its death. lx_file_open() and
 * lx_file_close() keep the list; fork.c (engine) holds the lock over fork and closes all in the
 * child.
 */
#ifndef LX_SYS_FDS_H
#define LX_SYS_FDS_H

/* While this is held the library opens and closes no descriptor and makes no mapping. */
void lx_fds_lock(void);
void lx_fds_unlock(void);

/* With the lock held. lx_fds_add() takes memory: LXDB_NOMEM. */
int lx_fds_add(int fd);
void lx_fds_remove(int fd);

/* In the child, before anything else: close all and make the lock fresh. */
void lx_fds_close_inherited(void);

#endif
