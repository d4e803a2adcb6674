// SPDX-License-Identifier: MIT
//! Who may set modes: masters, magic numbers, and leases as masters of a part.
//!
//! Rules and error numbers are those of Linux's `drm_auth.c` and `drm_lease.c`.

use crate::device::State;
use crate::file::FileId;
use crate::ids::pick;
use crate::kms::objects::{Object, Objects};
use drvhost_abi::Errno;
use std::collections::{BTreeMap, BTreeSet};

/// Number of a master in the core.
pub type MasterId = u64;

/// A group of files with one display, or a lease of a part of it.
#[derive(Debug, Default)]
pub struct Master {
    /// `SET_VERSION` made its bus id visible.
    pub unique_set: bool,
    /// Files by their magic numbers; `None` once authenticated.
    pub magics: BTreeMap<u32, Option<FileId>>,
    /// Whom it leases from, if it is a lease.
    pub lessor: Option<MasterId>,
    /// Its number with the lessor.
    pub lessee_id: u32,
    /// The objects leased to it.
    pub leases: BTreeSet<u32>,
}

/// All masters, and the current one.
#[derive(Debug, Default)]
pub struct Masters {
    /// The one that may set modes.
    pub current: Option<MasterId>,
    /// All that a file belongs to.
    pub all: BTreeMap<MasterId, Master>,
    next: MasterId,
}

impl Masters {
    /// Adds a master and gives its number.
    pub fn add(&mut self, master: Master) -> MasterId {
        self.next += 1;
        self.all.insert(self.next, master);
        self.next
    }

    /// The master a lease comes from in the end; a master without a lessor is its own.
    pub fn owner(&self, id: MasterId) -> MasterId {
        self.all.get(&id).and_then(|m| m.lessor).unwrap_or(id)
    }

    /// The lessees of a master, by their numbers with it.
    pub fn lessees(&self, lessor: MasterId) -> impl Iterator<Item = (u32, MasterId)> + '_ {
        self.all
            .iter()
            .filter(move |(_, master)| master.lessor == Some(lessor))
            .map(|(id, master)| (master.lessee_id, *id))
    }

    /// A number for a new lessee.
    pub fn lessee_id(&self, lessor: MasterId, want: Option<u32>) -> Result<u32, Errno> {
        let taken: BTreeMap<u32, MasterId> = self.lessees(lessor).collect();
        pick(&taken, 1, want)
    }
}

impl State {
    /// A file of the card node was opened: the first becomes master.
    pub fn master_open(&mut self, id: FileId) {
        let current = self.masters.current;
        let Some(file) = self.files.get_mut(&id) else {
            return;
        };
        if file.host {
            return;
        }
        match current {
            Some(master) => file.master = Some(master),
            None => self.new_master(id),
        }
    }

    /// The file heads a new master, which becomes the current one.
    fn new_master(&mut self, id: FileId) {
        let master = self.masters.add(Master::default());
        self.masters.current = Some(master);
        if let Some(file) = self.files.get_mut(&id) {
            let before = file.master.replace(master);
            file.magic = 0;
            file.is_master = true;
            file.was_master = true;
            file.authenticated = true;
            if let Some(before) = before {
                self.leave(id, before);
            }
        }
    }

    /// A file no longer belongs to a master, which ends with its last file.
    fn leave(&mut self, id: FileId, master: MasterId) {
        if let Some(left) = self.masters.all.get_mut(&master) {
            left.magics.retain(|_, file| *file != Some(id));
        }
        if !self.files.values().any(|file| file.master == Some(master)) {
            self.masters.all.remove(&master);
        }
    }

    /// The file may set modes now: it heads the current master or a lease from it.
    pub fn is_current_master(&self, id: FileId) -> bool {
        let Some(file) = self.files.get(&id) else {
            return false;
        };
        let owner = file.master.map(|master| self.masters.owner(master));
        file.is_master && owner.is_some() && owner == self.masters.current
    }

    fn may_change_master(&self, id: FileId, pid: u32) -> Result<(), Errno> {
        let file = self.files.get(&id).ok_or(Errno::EINVAL)?;
        if file.host || file.privileged || (file.was_master && file.pid == pid) {
            return Ok(());
        }
        Err(Errno::EACCES)
    }

    /// `SET_MASTER`. On replay whoever is current steps back.
    pub fn set_master(&mut self, id: FileId, replay: bool) -> Result<(), Errno> {
        let pid = self.files.get(&id).map_or(0, |file| file.pid);
        if !replay {
            self.may_change_master(id, pid)?;
        }
        if self.is_current_master(id) {
            return Ok(());
        }
        if self.masters.current.is_some() && !replay {
            return Err(Errno::EBUSY);
        }
        let file = self.files.get(&id).ok_or(Errno::EINVAL)?;
        let master = match file.master {
            Some(master) if file.is_master => master,
            None if !replay => return Err(Errno::EINVAL),
            _ => {
                self.new_master(id);
                return Ok(());
            }
        };
        if self.masters.owner(master) != master {
            return Err(Errno::EINVAL);
        }
        self.masters.current = Some(master);
        Ok(())
    }

    /// `DROP_MASTER`.
    pub fn drop_master(&mut self, id: FileId, replay: bool) -> Result<(), Errno> {
        let pid = self.files.get(&id).map_or(0, |file| file.pid);
        if !replay {
            self.may_change_master(id, pid)?;
        }
        let master = self.files.get(&id).and_then(|file| file.master);
        if !self.is_current_master(id) || master != self.masters.current {
            return if replay { Ok(()) } else { Err(Errno::EINVAL) };
        }
        self.masters.current = None;
        Ok(())
    }

    /// A file closes: what it was master of ends.
    pub fn master_release(&mut self, id: FileId) {
        let Some(file) = self.files.get_mut(&id) else {
            return;
        };
        let (master, headed) = (file.master.take(), file.is_master);
        let Some(master) = master else { return };
        if headed {
            if self.masters.current == Some(master) {
                self.masters.current = None;
            }
            // What was leased from it comes back to nobody.
            let lessees: Vec<MasterId> = self.masters.lessees(master).map(|(_, m)| m).collect();
            for lessee in lessees {
                if let Some(lessee) = self.masters.all.get_mut(&lessee) {
                    lessee.leases.clear();
                }
            }
        }
        self.leave(id, master);
    }

    /// The file's magic number, made when first asked for.
    pub fn magic(&mut self, id: FileId, want: Option<u32>) -> Result<u32, Errno> {
        let file = self.files.get_mut(&id).ok_or(Errno::EINVAL)?;
        let master = file.master.and_then(|m| self.masters.all.get_mut(&m));
        let master = master.ok_or(Errno::EINVAL)?;
        if file.magic == 0 {
            file.magic = pick(&master.magics, 1, want)?;
            master.magics.insert(file.magic, Some(id));
        }
        Ok(file.magic)
    }

    /// `AUTH_MAGIC`: the file with that number may use what needs authentication.
    pub fn authenticate(&mut self, id: FileId, magic: u32) -> Result<(), Errno> {
        let master = self.files.get(&id).and_then(|file| file.master);
        let master = master.and_then(|m| self.masters.all.get_mut(&m));
        let slot = master.and_then(|m| m.magics.get_mut(&magic));
        let other = slot.and_then(Option::take).ok_or(Errno::EINVAL)?;
        if let Some(other) = self.files.get_mut(&other) {
            other.authenticated = true;
        }
        Ok(())
    }

    /// The objects a lessee is bound to; `None`: the file sees all.
    pub fn leased(&self, id: FileId) -> Option<&BTreeSet<u32>> {
        let master = self.masters.all.get(&self.files.get(&id)?.master?)?;
        master.lessor.map(|_| &master.leases)
    }

    /// Whether the file sees an object.
    pub fn holds(&self, id: FileId, object: u32) -> bool {
        self.leased(id)
            .is_none_or(|leases| leases.contains(&object))
    }

    /// Looks an object up for a file: a lessee finds no other planes, CRTCs and connectors than its own.
    pub fn find(&self, objects: &Objects, file: FileId, id: u32) -> Option<Object> {
        let object = objects.find(id)?;
        (!object.leasable() || self.holds(file, id)).then_some(object)
    }

    /// The index of a CRTC that the file sees: `ENOENT` if not.
    pub fn find_crtc(&self, objects: &Objects, file: FileId, id: u32) -> Result<usize, Errno> {
        match self.find(objects, file, id) {
            Some(Object::Crtc(index)) => Ok(index),
            _ => Err(Errno::ENOENT),
        }
    }

    /// The index of a plane that the file sees: `ENOENT` if not.
    pub fn find_plane(&self, objects: &Objects, file: FileId, id: u32) -> Result<usize, Errno> {
        match self.find(objects, file, id) {
            Some(Object::Plane(index)) => Ok(index),
            _ => Err(Errno::ENOENT),
        }
    }

    /// The index of a connector that the file sees: `ENOENT` if not.
    pub fn find_connector(&self, objects: &Objects, file: FileId, id: u32) -> Result<usize, Errno> {
        match self.find(objects, file, id) {
            Some(Object::Connector(index)) => Ok(index),
            _ => Err(Errno::ENOENT),
        }
    }
}
