// SPDX-License-Identifier: MIT
// Lists DRM devices as a compositor does, with libudev.

#include <libudev.h>
#include <stdio.h>
#include <sys/sysmacros.h>

static const char *or_dash(const char *text)
{
	return text ? text : "-";
}

int main(void)
{
	struct udev *udev = udev_new();
	struct udev_enumerate *list = udev_enumerate_new(udev);
	udev_enumerate_add_match_subsystem(list, "drm");
	udev_enumerate_add_match_sysname(list, "card[0-9]*");
	udev_enumerate_scan_devices(list);
	struct udev_list_entry *entry;
	udev_list_entry_foreach(entry, udev_enumerate_get_list_entry(list)) {
		const char *path = udev_list_entry_get_name(entry);
		struct udev_device *device = udev_device_new_from_syspath(udev, path);
		if (!device)
			return 1;
		dev_t number = udev_device_get_devnum(device);
		struct udev_device *parent =
			udev_device_get_parent_with_subsystem_devtype(device, "pci", NULL);
		printf("%s %s %u:%u %s %s parent %s driver %s vendor %s\n",
		       udev_device_get_sysname(device), or_dash(udev_device_get_devnode(device)),
		       major(number), minor(number),
		       udev_device_get_is_initialized(device) ? "initialized" : "new",
		       udev_device_has_tag(device, "seat") ? "seat" : "-",
		       parent ? udev_device_get_sysname(parent) : "-",
		       parent ? or_dash(udev_device_get_driver(parent)) : "-",
		       parent ? or_dash(udev_device_get_sysattr_value(parent, "vendor")) : "-");
		udev_device_unref(device);
	}
	udev_enumerate_unref(list);
	udev_unref(udev);
	return 0;
}
