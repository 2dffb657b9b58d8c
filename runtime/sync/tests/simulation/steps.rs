//! What may happen next.

use std::collections::BTreeSet;

use domicile_types::{Dot, Hlc};

use crate::batch::{self, Batch};
use crate::disk::Fault;
use crate::model::Write;
use crate::reader;
use crate::tables;
use crate::world::World;

type Step = fn(&mut World) -> Result<(), String>;

/// Everything that may happen, with how often.
const STEPS: [(u64, Step); 15] = [
    (40, |world| world.write_some()),
    (30, |world| world.wait()),
    (4, |world| world.write_person()),
    (10, |world| world.work_somewhere()),
    (4, |world| world.cut_some()),
    (6, |world| world.mend_some()),
    (3, |world| world.crash_one()),
    (3, |world| world.fault()),
    (2, |world| world.shift_clock()),
    (3, |world| world.flush_one()),
    (3, |world| world.pause_one()),
    (1, |world| world.let_one_in()),
    (1, |world| world.destroy_one()),
    (1, |world| world.give_one_up()),
    (1, |world| world.widen_one()),
];

impl World {
    /// Lives through `steps` of them, and ends in peace.
    pub(crate) fn live(&mut self, steps: usize) -> Result<(), String> {
        self.pass(1)?;
        let total: u64 = STEPS.iter().map(|(weight, _)| weight).sum();
        for _ in 0..steps {
            let mut at = self.rng.below(total);
            let step = STEPS.iter().find(|(weight, _)| {
                let here = at < *weight;
                at = at.saturating_sub(*weight);
                here
            });
            step.map_or(Ok(()), |(_, step)| step(self))?;
            for index in 0..self.nodes.len() {
                if self.nodes[index].store.is_some() && self.nodes[index].disk.is_stopped() {
                    self.crash(index, true)?;
                }
            }
        }
        self.end()
    }

    pub(crate) fn any_up(&mut self) -> Option<usize> {
        let index = self.rng.index(self.nodes.len());
        self.nodes[index].store.is_some().then_some(index)
    }

    fn write_some(&mut self) -> Result<(), String> {
        for _ in 0..1 + self.rng.index(4) {
            if let Some(index) = self.any_up() {
                self.write(index)?;
            }
        }
        Ok(())
    }

    /// A region takes a batch.
    fn write(&mut self, index: usize) -> Result<(), String> {
        if self.nodes[index].store.is_none() || self.nodes[index].replica.is_fenced() {
            return Ok(());
        }
        let applied = self.nodes[index].applied();
        let knew = self.model.meant(&applied);
        let node = &mut self.nodes[index];
        let Ok(seen) = reader::read(node.store.as_ref().unwrap(), &mut node.cache) else {
            return self.look_unless_stopped(index);
        };
        let Batch { name, delete, rows, changes } =
            batch::any(&mut self.rng, &mut self.next_serial, &seen, node.is_wide);
        let node = &mut self.nodes[index];
        if node.is_wide {
            self.model.wide.extend(changes.items.values().flatten().map(|(serial, _)| *serial));
        }
        let dot = Dot { origin: node.origin(), seq: applied.get(&node.origin()) + 1 };
        if self.model.writes.iter().any(|write| write.dot == dot) {
            return Err(format!("{dot} is written twice"));
        }
        let mut write = Write { dot, hlc: Hlc::default(), knew, changes };
        match node.write(name, delete, &rows, self.now_ms) {
            Ok(()) => {
                write.hlc = node.moment(&write.dot).ok_or_else(|| format!("{} is not in its log", write.dot))?;
                let late = write.knew.iter().find(|at| self.model.writes[**at].hlc >= write.hlc);
                if let Some(at) = late {
                    return Err(format!("{} is not later than {}", write.dot, self.model.writes[*at].dot));
                }
                self.report.tell(self.now_ms, format_args!("{index} writes {} {write:?}", write.dot));
                self.report.count("acknowledged writes");
                self.model.push(write);
                self.look(index)
            }
            Err(_) => {
                self.report.count("writes that failed");
                self.open[index] = Some(write);
                self.crash(index, true)
            }
        }
    }

    fn wait(&mut self) -> Result<(), String> {
        let ms = *self.rng.pick(&[1, 20, 200, 200, 2_000, 10_000]);
        self.pass(ms)
    }

    fn work_somewhere(&mut self) -> Result<(), String> {
        let now_ms = self.now_ms;
        if let Some(index) = self.any_up() {
            self.nodes[index].work(now_ms);
            self.look_unless_stopped(index)?;
        }
        Ok(())
    }

    fn look_unless_stopped(&mut self, index: usize) -> Result<(), String> {
        if self.nodes[index].disk.is_stopped() { Ok(()) } else { self.look(index) }
    }

    /// Cuts one direction, one link, or a group off from the others.
    fn cut_some(&mut self) -> Result<(), String> {
        let (from, to) = (self.rng.index(self.nodes.len()), self.rng.index(self.nodes.len()));
        let cut: BTreeSet<(usize, usize)> = match self.rng.below(3) {
            0 => [(from, to)].into(),
            1 => [(from, to), (to, from)].into(),
            _ => {
                let side: Vec<bool> = self.nodes.iter().map(|_| self.rng.chance(50)).collect();
                let pairs = (0..side.len()).flat_map(|a| (0..side.len()).map(move |b| (a, b)));
                pairs.filter(|(a, b)| side[*a] != side[*b]).collect()
            }
        };
        self.report.tell(self.now_ms, format_args!("cut {cut:?}"));
        self.report.count("cuts");
        self.net.cut.extend(cut);
        Ok(())
    }

    fn mend_some(&mut self) -> Result<(), String> {
        if self.rng.chance(50) {
            self.net.cut.clear();
        } else {
            self.net.cut.pop_first();
        }
        self.report.tell(self.now_ms, format_args!("mended but for {:?}", self.net.cut));
        Ok(())
    }

    fn crash_one(&mut self) -> Result<(), String> {
        let power = self.rng.chance(60);
        match self.any_up() {
            Some(index) => self.crash(index, power),
            None => Ok(()),
        }
    }

    /// Something goes wrong with a disk soon.
    fn fault(&mut self) -> Result<(), String> {
        let index = self.rng.index(self.nodes.len());
        let fault = *self.rng.pick(&[Fault::Crash, Fault::Crash, Fault::Sync]);
        let after = self.rng.below(40);
        self.nodes[index].disk.schedule(after, fault);
        self.report.count("faults of disks");
        Ok(())
    }

    fn shift_clock(&mut self) -> Result<(), String> {
        let index = self.rng.index(self.nodes.len());
        let skew_ms = *self.rng.pick(&[0, 0, 100, -100, 400, -400, 3_000, -3_000]);
        self.nodes[index].skew_ms = skew_ms;
        self.report.tell(self.now_ms, format_args!("{index} is {skew_ms} ms ahead"));
        self.report.count("shifts of clocks");
        Ok(())
    }

    /// Pauses a region's set, or what another one writes; or ends all that is paused there.
    fn pause_one(&mut self) -> Result<(), String> {
        let (index, from) = (self.rng.index(self.nodes.len()), self.rng.index(self.nodes.len()));
        let node = &mut self.nodes[index];
        if node.pauses.is_empty() {
            let from = self.rng.chance(50).then(|| tables::region(from)).filter(|_| from != index);
            node.pauses.pause(from, node.clock_ms(self.now_ms));
            self.report.count("pauses");
        } else {
            node.pauses.resume(None);
        }
        node.replica.pause(node.pauses.clone());
        self.report.tell(self.now_ms, format_args!("{index} pauses {:?}", node.pauses));
        Ok(())
    }

    /// A region starts again with a further column.
    fn widen_one(&mut self) -> Result<(), String> {
        let index = self.rng.index(self.nodes.len());
        if !self.nodes[index].is_wide {
            self.widen(index)?;
        }
        Ok(())
    }

    fn flush_one(&mut self) -> Result<(), String> {
        if let Some(index) = self.any_up() {
            self.nodes[index].store.as_mut().unwrap().freeze_recent();
        }
        Ok(())
    }
}
