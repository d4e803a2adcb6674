/* SPDX-License-Identifier: MIT */
/*
 * The smallest driver in C; for tests. Its ioctls are those of tiny_rust, as far as they go:
 * 1 adds one to each byte of the payload, 2 makes a buffer of the size in the payload, 7 tells the
 * length of the parameter "greeting", 8 runs a thread and waits for it.
 */
#include "drvhost_driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct instance {
	const struct drvhost_host_v1 *host;
	const struct drvhost_device_v1 *device;
};

struct file {
	struct instance *instance;
	uint64_t buffer;
	uint32_t done;
};

static int32_t tiny_probe(const struct drvhost_host_v1 *host,
			  const struct drvhost_device_v1 *device, void **out)
{
	struct instance *instance = malloc(sizeof(*instance));
	const char *text = "probed";

	if (!instance)
		return -ENOMEM;
	instance->host = host;
	instance->device = device;
	host->log(host->ctx, 3, (const uint8_t *)"tiny_c", 6, (const uint8_t *)text, strlen(text));
	*out = instance;
	return 0;
}

static void tiny_remove(void *instance)
{
	free(instance);
}

static int32_t tiny_nodes(void *instance, struct drvhost_node_info *out, uint32_t cap)
{
	(void)instance;
	if (cap > 0) {
		memset(out, 0, sizeof(*out));
		out->kind = DRVHOST_NODE_CARD;
		strcpy((char *)out->name, "tiny_c");
	}
	return 1;
}

static int32_t tiny_open(void *instance, const struct drvhost_open_args *args, void **out)
{
	struct file *file = calloc(1, sizeof(*file));

	(void)args;
	if (!file)
		return -ENOMEM;
	file->instance = instance;
	*out = file;
	return 0;
}

static void tiny_release(void *pointer)
{
	struct file *file = pointer;
	const struct drvhost_host_v1 *host = file->instance->host;

	if (file->buffer)
		host->buffer_put(host->ctx, file->buffer);
	free(file);
}

static void tiny_thread(void *pointer)
{
	struct file *file = pointer;
	const struct drvhost_host_v1 *host = file->instance->host;

	__atomic_store_n(&file->done, 1, __ATOMIC_RELEASE);
	host->wake(host->ctx, &file->done, 1);
}

static int64_t tiny_buffer(struct file *file, struct drvhost_request *request)
{
	const struct drvhost_host_v1 *host = file->instance->host;
	struct drvhost_buffer_map map;
	uint64_t size;
	int32_t status;

	if (request->payload_len < sizeof(size) || request->objects_out_cap < 1 || file->buffer)
		return -EINVAL;
	memcpy(&size, request->payload, sizeof(size));
	status = host->buffer_create(host->ctx, size, &map);
	if (status < 0)
		return status;
	map.ptr[0] = 0x5a;
	file->buffer = map.id;
	request->objects_out[0].kind = DRVHOST_OBJECT_BUFFER;
	request->objects_out[0].place = 0;
	request->objects_out[0].id = map.id;
	request->objects_out_len = 1;
	return (int64_t)map.id;
}

static int64_t tiny_ioctl(void *pointer, struct drvhost_request *request)
{
	struct file *file = pointer;
	const struct drvhost_host_v1 *host = file->instance->host;
	const char *value;
	size_t i;

	switch (request->cmd) {
	case 1:
		for (i = 0; i < request->payload_len; i++)
			request->payload[i]++;
		return 0;
	case 2:
		return tiny_buffer(file, request);
	case 7:
		value = host->param(host->ctx, "greeting");
		return value ? (int64_t)strlen(value) : 0;
	case 8:
		if (host->spawn(host->ctx, "tiny", tiny_thread, file) < 0)
			return -EAGAIN;
		while (!__atomic_load_n(&file->done, __ATOMIC_ACQUIRE))
			host->wait(host->ctx, &file->done, 0, UINT64_MAX);
		return 1;
	default:
		return -ENOTTY;
	}
}

static int32_t tiny_mmap(void *pointer, const struct drvhost_mmap_args *args,
			 struct drvhost_mmap_out *out)
{
	struct file *file = pointer;

	if (!file->buffer)
		return -EINVAL;
	out->buffer = file->buffer;
	out->offset = args->offset;
	return 0;
}

static const struct drvhost_pci_id tiny_ids[] = {
	{ 0x1234, 0x1111, DRVHOST_ANY_ID, DRVHOST_ANY_ID, 0, 0 },
};

/* Plugins that must be refused are made with other values. */
#ifndef TINY_MMAP
#define TINY_MMAP tiny_mmap
#else
int32_t (*const tiny_unused)(void *, const struct drvhost_mmap_args *,
			     struct drvhost_mmap_out *) = tiny_mmap;
#endif
#ifndef TINY_VERSION
#define TINY_VERSION DRVHOST_ABI_VERSION
#endif

const struct drvhost_driver_v1 drvhost_driver_v1 = {
	.size = sizeof(drvhost_driver_v1),
	.abi_version = TINY_VERSION,
	.name = "tiny_c",
	.description = "The smallest driver in C",
	.ids = tiny_ids,
	.ids_len = 1,
	.probe = tiny_probe,
	.remove = tiny_remove,
	.nodes = tiny_nodes,
	.open = tiny_open,
	.release = tiny_release,
	.ioctl = tiny_ioctl,
	.mmap = TINY_MMAP,
};
