//! Background work, begun, run and finished at any time; and the faults that come in between.

use crate::disk::Fault;
use crate::world::World;

/// More jobs in a row than a store of this size can have.
const JOBS_MAX: usize = 200;

impl World {
    pub(crate) fn start_job(&mut self) -> Result<(), String> {
        if self.rng.chance(20) {
            self.store().freeze_recent();
        }
        let now_ms = self.now_ms;
        if let Some(job) = self.store().next_job(now_ms) {
            self.jobs.push(job);
        }
        Ok(())
    }

    pub(crate) fn run_job(&mut self) -> Result<(), String> {
        if !self.jobs.is_empty() {
            let job = self.rng.index(self.jobs.len());
            let done = self.jobs.swap_remove(job).run(&|_| {});
            self.done.push(done);
        }
        Ok(())
    }

    pub(crate) fn finish_job(&mut self) -> Result<(), String> {
        if self.done.is_empty() {
            return Ok(());
        }
        let done = self.rng.index(self.done.len());
        let done = self.done.swap_remove(done);
        let failures = self.failures();
        let writable = self.is_writable()?;
        match self.store().finish(done) {
            Ok(()) => self.report.count("finished jobs", 1),
            // The job itself may have failed earlier.
            Err(_) if self.failures() > 0 || !writable => self.report.count("failed jobs", 1),
            Err(error) => return Err(format!("a job failed after {failures} failures: {error}")),
        }
        if !self.disk.is_stopped() && self.rng.chance(40) {
            self.check()?;
        }
        Ok(())
    }

    /// All background work there is: it comes to an end.
    pub(crate) fn work_off(&mut self) -> Result<(), String> {
        for _ in 0..JOBS_MAX {
            if self.disk.is_stopped() {
                return Ok(());
            }
            self.start_job()?;
            if self.jobs.is_empty() && self.done.is_empty() {
                return Ok(());
            }
            self.run_job()?;
            let failures = self.failures();
            self.finish_job()?;
            if self.failures() > failures || !self.is_writable()? {
                return Ok(());
            }
        }
        Err("background work does not come to an end".to_owned())
    }

    pub(crate) fn schedule_fault(&mut self) -> Result<(), String> {
        let after = self.rng.below(60);
        match self.rng.below(11) {
            10 => {
                let percent = *self.rng.pick(&[0, 20, 100]);
                self.cloud.set_failing(percent);
            }
            0..=4 => self.disk.schedule(after, Fault::Crash),
            5 => self.disk.schedule(after, Fault::Io),
            6 => self.disk.schedule(after, Fault::Sync),
            7 => self.disk.schedule(after, Fault::ReadOnly),
            8 => {
                let room = self.rng.below(6_000);
                self.disk.set_capacity(Some(self.disk.used() + room));
                self.report.count("full disks", 1);
            }
            _ => self.disk.set_capacity(None),
        }
        Ok(())
    }
}
