/* SPDX-License-Identifier: MIT */
/*
 * The plugin ABI of drvhost, version 1, for drivers in C.
 *
 * A plugin is a shared object that exports one data symbol:
 *
 *     const struct drvhost_driver_v1 drvhost_driver_v1 = { ... };
 *
 * Every table begins with its size and the ABI version. A reader uses only what lies inside the
 * size it is given, so fields may be added at the end without a new version. Functions return zero
 * or a positive value, or a negative error number (Linux's values, on every system). Pointers given
 * to a function are valid for the call only, unless said otherwise. All functions may be called
 * from several threads at once.
 *
 * The Rust spelling is abi/src/tables.rs; a test compares the two.
 */
#ifndef DRVHOST_DRIVER_H
#define DRVHOST_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DRVHOST_ABI_VERSION 1u

/* Matches any value of a field of struct drvhost_pci_id. */
#define DRVHOST_ANY_ID UINT32_MAX

/* One row of a driver's PCI id table. */
struct drvhost_pci_id {
	uint32_t vendor;
	uint32_t device;
	uint32_t subvendor;
	uint32_t subdevice;
	uint32_t class_code; /* base class, subclass and interface, 24 bits */
	uint32_t class_mask; /* which bits of class_code count */
};

/* A parameter that a driver understands; all texts are UTF-8. */
struct drvhost_param {
	const char *name;
	const char *description;
	const char *default_value;
};

enum drvhost_node_kind {
	DRVHOST_NODE_CARD = 1,   /* /dev/dri/card<N> */
	DRVHOST_NODE_RENDER = 2, /* /dev/dri/renderD<N> */
	DRVHOST_NODE_EVENT = 3,  /* /dev/input/event<N> */
};

/* One node of an instance; its index is its place in the list. */
struct drvhost_node_info {
	uint32_t kind;
	uint32_t reserved; /* zero */
	uint8_t name[64];  /* driver name as programs see it, NUL-padded */
};

/* The opener has what Linux calls CAP_SYS_ADMIN on the host. */
#define DRVHOST_OPEN_PRIVILEGED 1u
/* The host itself opens the file, to put state back: it may do what a master may. */
#define DRVHOST_OPEN_HOST 2u

struct drvhost_open_args {
	uint32_t node;
	uint32_t flags;
	uint64_t cookie; /* the host's name for the file; events are posted under it */
	uint32_t pid;
	uint32_t uid;
};

/* The call puts back what a client made before a crash. */
#define DRVHOST_REQUEST_REPLAY 1u

enum drvhost_object_kind {
	DRVHOST_OBJECT_BUFFER = 1, /* shared memory */
	DRVHOST_OBJECT_FENCE = 2,  /* signalled once */
	DRVHOST_OBJECT_EVENT = 3,  /* an eventfd that a client gave */
	DRVHOST_OBJECT_FILE = 4,   /* an open file made by a call; the id is its cookie */
};

/* An object that goes with a call, in the place of a descriptor. */
struct drvhost_object_ref {
	uint32_t kind;
	uint32_t place; /* one descriptor field: zero; atomic commit: index of the property value */
	uint64_t id;
};

/* One ioctl. */
struct drvhost_request {
	uint32_t size; /* of this struct */
	uint32_t cmd;  /* the full ioctl number */
	uint32_t flags;
	uint32_t want_id; /* the id that what is made must get, or zero */
	uint8_t *payload; /* the argument in wire form; the answer overwrites it */
	size_t payload_len;
	const struct drvhost_object_ref *objects_in;
	size_t objects_in_len;
	struct drvhost_object_ref *objects_out;
	size_t objects_out_cap;
	size_t objects_out_len;
};

struct drvhost_mmap_args {
	uint64_t offset; /* fake offset that the driver gave out, in bytes */
	uint64_t length; /* bytes, a multiple of the page size */
	uint32_t write;  /* one for read and write */
	uint32_t reserved;
};

struct drvhost_mmap_out {
	uint64_t buffer; /* the host's id */
	uint64_t offset; /* bytes */
};

/* A buffer of the host's, mapped until it is put back. */
struct drvhost_buffer_map {
	uint64_t id;
	uint8_t *ptr;  /* page-aligned, readable and writable */
	uint64_t size; /* bytes, a multiple of the page size */
};

/* What the host does for a driver. ctx is the first argument of each function. */
struct drvhost_host_v1 {
	uint32_t size;
	uint32_t abi_version;
	void *ctx;
	/* Levels: 1 error, 2 warning, 3 info, 4 debug, 5 trace. */
	void (*log)(void *ctx, uint32_t level, const uint8_t *target, size_t target_len,
		    const uint8_t *text, size_t text_len);
	/* Monotonic time in nanoseconds. Tests may step it. */
	uint64_t (*now)(void *ctx);
	/* Sleeps while *word == expected, until wake or the deadline (nanoseconds of now,
	 * UINT64_MAX for none). 0 or -ETIMEDOUT; may return early. A thread that sleeps here is
	 * not hung; one that sleeps elsewhere is. */
	int32_t (*wait)(void *ctx, const uint32_t *word, uint32_t expected, uint64_t deadline);
	void (*wake)(void *ctx, const uint32_t *word, uint32_t count);
	/* Starts a thread that the host watches. */
	int32_t (*spawn)(void *ctx, const char *name, void (*run)(void *arg), void *arg);
	/* The value of a parameter, or NULL. Valid until the process ends. */
	const char *(*param)(void *ctx, const char *name);
	/* Reads a firmware file. 0 or -ENOENT. Valid until the process ends. */
	int32_t (*firmware)(void *ctx, const char *name, const uint8_t **data, size_t *len);
	/* Sends whole event records to the reader of a file. -ENOENT: no such file. */
	int32_t (*post_event)(void *ctx, uint64_t cookie, const uint8_t *data, size_t len);
	/* Something changed that programs should look at: a HOTPLUG=1 uevent. */
	void (*hotplug)(void *ctx);
	/* Makes and maps a buffer, zeroed. In a replayed call: the one the call made before. */
	int32_t (*buffer_create)(void *ctx, uint64_t size, struct drvhost_buffer_map *out);
	int32_t (*buffer_open)(void *ctx, uint64_t id, struct drvhost_buffer_map *out);
	/* Ends one create or open: the mapping goes. */
	int32_t (*buffer_put)(void *ctx, uint64_t id);
	int32_t (*fence_create)(void *ctx, uint64_t *id);
	int32_t (*fence_signal)(void *ctx, uint64_t id);
	/* 0 or -ETIMEDOUT; a deadline of zero asks only. */
	int32_t (*fence_wait)(void *ctx, uint64_t id, uint64_t deadline);
	int32_t (*fence_put)(void *ctx, uint64_t id);
	/* Announces a file that a call made (a lease) and stores its cookie. */
	int32_t (*file_create)(void *ctx, uint32_t node, void *file, uint64_t *cookie);
	/* The first sequence number that a vblank counter may show. */
	uint64_t (*vblank_base)(void *ctx);
};

#define DRVHOST_BAR_MEMORY 1u
#define DRVHOST_BAR_PORT 2u
#define DRVHOST_BAR_PREFETCHABLE 4u
/* bar_map works; otherwise only bar_read and bar_write. */
#define DRVHOST_BAR_MAPPABLE 8u

struct drvhost_bar_info {
	uint64_t size; /* bytes; zero where there is none */
	uint32_t flags;
	uint32_t reserved;
};

enum drvhost_irq_kind {
	DRVHOST_IRQ_INTX = 0,
	DRVHOST_IRQ_MSI = 1,
	DRVHOST_IRQ_MSIX = 2,
};

/* Memory that the device can reach. */
struct drvhost_dma_map {
	uint64_t iova;   /* address for the device */
	uint8_t *ptr;    /* address for the driver */
	uint64_t size;   /* bytes */
	uint64_t buffer; /* the host's id, for buffer_open and mmap; zero where it has none */
};

/* A driver's device. ctx is the first argument of each function. */
struct drvhost_device_v1 {
	uint32_t size;
	uint32_t abi_version;
	void *ctx;
	uint8_t address[16]; /* PCI address as text, NUL-padded */
	struct drvhost_pci_id id;
	uint32_t revision;
	uint32_t reserved;
	int32_t (*config_read)(void *ctx, uint32_t offset, uint8_t *data, size_t len);
	int32_t (*config_write)(void *ctx, uint32_t offset, const uint8_t *data, size_t len);
	int32_t (*bar_info)(void *ctx, uint32_t bar, struct drvhost_bar_info *out);
	/* Maps a whole BAR. Valid until the process ends. */
	int32_t (*bar_map)(void *ctx, uint32_t bar, uint8_t **out);
	/* 1, 2, 4 and 8 bytes are one access of that width. */
	int32_t (*bar_read)(void *ctx, uint32_t bar, uint64_t offset, uint8_t *data, size_t len);
	int32_t (*bar_write)(void *ctx, uint32_t bar, uint64_t offset, const uint8_t *data,
			     size_t len);
	int32_t (*irq_count)(void *ctx, uint32_t kind);
	/* handler runs in a thread of its own for each vector. */
	int32_t (*irq_enable)(void *ctx, uint32_t kind, uint32_t count,
			      void (*handler)(void *arg, uint32_t vector), void *arg);
	/* Disables all vectors; no handler runs afterwards. */
	int32_t (*irq_disable)(void *ctx);
	/* align is a power of two. */
	int32_t (*dma_alloc)(void *ctx, uint64_t size, uint64_t align, struct drvhost_dma_map *out);
	int32_t (*dma_free)(void *ctx, uint64_t iova);
	int32_t (*reset)(void *ctx);
};

/* What a driver offers. All entry points are required. */
struct drvhost_driver_v1 {
	uint32_t size;        /* sizeof(struct drvhost_driver_v1) */
	uint32_t abi_version; /* DRVHOST_ABI_VERSION */
	const char *name;
	const char *description; /* one line */
	const struct drvhost_pci_id *ids;
	size_t ids_len;
	const char *const *firmware; /* files that the driver may ask for */
	size_t firmware_len;
	const struct drvhost_param *params;
	size_t params_len;
	/* Takes the device; stores the instance. Both tables stay until the process ends. */
	int32_t (*probe)(const struct drvhost_host_v1 *host, const struct drvhost_device_v1 *device,
			 void **instance);
	/* Gives the device up. All files were released before. */
	void (*remove)(void *instance);
	/* Stores up to cap nodes and returns how many there are. */
	int32_t (*nodes)(void *instance, struct drvhost_node_info *out, uint32_t cap);
	int32_t (*open)(void *instance, const struct drvhost_open_args *args, void **file);
	/* Closes a file. No call on it is under way, and none follows. */
	void (*release)(void *file);
	int64_t (*ioctl)(void *file, struct drvhost_request *request);
	int32_t (*mmap)(void *file, const struct drvhost_mmap_args *args,
			struct drvhost_mmap_out *out);
};

#ifdef __cplusplus
}
#endif

#endif
