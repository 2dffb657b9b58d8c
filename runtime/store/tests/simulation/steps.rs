//! What may happen next in a world, and what has to be so afterwards.

use domicile_store::{Ack, Prepared, StoreError};

use crate::batch::{Request, Text};
use crate::disk::Fault;
use crate::model::Standing;
use crate::tables::{self, ACCOUNT, ANCHORS, DAY_MS, Row};
use crate::world::{Waiting, World};

/// Batches of unknown outcome in one dataset, past which the process is started again.
const UNKNOWN_MAX: usize = 6;

type Step = fn(&mut World) -> Result<(), String>;

/// Everything that may happen, with how often.
const STEPS: [(u64, Step); 15] = [
    (34, |world| world.commit_some()),
    (6, |world| world.prepare_one().map(|_| ())),
    (4, |world| world.repeat_one()),
    (2, |world| world.refuse_one()),
    (12, |world| world.start_job()),
    (12, |world| world.run_job()),
    (12, |world| world.finish_job()),
    (3, |world| world.pass_time()),
    (5, |world| world.hold()),
    (5, |world| world.look_at_held()),
    (8, |world| world.check()),
    (1, |world| world.work_off()),
    (4, |world| world.end(true)),
    (3, |world| world.end(false)),
    (6, |world| world.schedule_fault()),
];

impl World {
    /// Lives through `steps` of them, and ends in peace.
    pub(crate) fn live(&mut self, steps: usize) -> Result<(), String> {
        self.start()?;
        let total: u64 = STEPS.iter().map(|(weight, _)| weight).sum();
        for _ in 0..steps {
            let mut at = self.rng.below(total);
            let step = STEPS.iter().find(|(weight, _)| {
                let here = at < *weight;
                at = at.saturating_sub(*weight);
                here
            });
            step.map_or(Ok(()), |(_, step)| step(self))?;
            let uncertain = (0..self.tables.len()).any(|table| self.model.unknown(table).len() > UNKNOWN_MAX);
            if self.disk.is_stopped() {
                self.end(true)?;
            } else if uncertain || (!self.is_writable()? && self.rng.chance(25)) {
                let power = self.rng.chance(50);
                self.end(power)?;
            }
        }
        self.disk.heal();
        self.disk.set_capacity(None);
        self.cloud.set_failing(0);
        let power = self.rng.chance(50);
        self.end(power)?;
        self.check()?;
        self.work_off()?;
        self.check()?;
        self.end(true)?;
        self.check()
    }

    /// Whether the store says that it takes writes. Where it does not, it has to say why.
    pub(crate) fn is_writable(&mut self) -> Result<bool, String> {
        let health = self.store().health();
        match (health.is_writable(), health.problem()) {
            (true, Some(problem)) => Err(format!("writable, with a problem: {problem}")),
            (false, None) => Err("not writable, and nobody knows why".to_owned()),
            (writable, _) => Ok(writable),
        }
    }

    /// The process ends, with or without the power, and another one starts.
    pub(crate) fn end(&mut self, power: bool) -> Result<(), String> {
        if power {
            self.disk.crash();
            self.close();
            self.report.count("power failures", 1);
        } else {
            if self.rng.chance(50) {
                self.disk.kill();
            }
            self.close();
            self.disk.kill();
            self.report.count("ended processes", 1);
        }
        self.start()
    }

    /// Starts the store, however often that takes.
    fn start(&mut self) -> Result<(), String> {
        for attempt in 0_u32.. {
            if attempt > 0 && self.rng.chance(30) {
                self.disk.set_capacity(None);
            }
            if attempt > 6 {
                self.disk.heal();
                self.cloud.set_failing(0);
            }
            if attempt < 4 && self.rng.chance(25) {
                let fault = *self.rng.pick(&[Fault::Crash, Fault::Crash, Fault::Io, Fault::Sync]);
                let after = self.rng.below(40);
                self.disk.schedule(after, fault);
            }
            let failures = self.failures();
            let opened = self.open_store();
            let undisturbed = self.failures() == failures;
            match opened {
                Ok(store) => self.store = Some(store),
                Err(error) if undisturbed => return Err(format!("cannot be opened: {error}")),
                Err(_) => self.report.count("failed starts", 1),
            }
            if self.store.is_some() && !self.disk.is_stopped() && self.check_opened(failures)? {
                break;
            }
            self.close();
            if self.disk.is_stopped() || self.rng.chance(30) { self.disk.crash() } else { self.disk.kill() }
        }
        self.read_only = false;
        self.report.count("starts", 1);
        if self.rng.chance(10) && self.open_store().is_ok() {
            return Err("two stores are open in one directory".to_owned());
        }
        Ok(())
    }

    fn rows(&mut self, table: usize) -> Vec<Row> {
        let most = *self.rng.pick(&[1, 4, 12, 40]);
        let mut rows = Vec::new();
        for _ in 0..1 + self.rng.below(most) {
            self.next_serial += 1;
            rows.push(tables::row(table, self.next_serial, &mut self.rng));
        }
        rows
    }

    /// A request that the store has to take.
    fn request(&mut self) -> Request {
        let mut table = *self.rng.pick(&self.used);
        let anchored = self.model.visible(ACCOUNT).len() as u64 >= ANCHORS;
        if table == tables::ORDERS && !anchored {
            table = ACCOUNT;
        }
        let mut rows = self.rows(table);
        let delete = self.tables[table].is_keyed() && (table != ACCOUNT || anchored) && self.rng.chance(30);
        if table == ACCOUNT && !anchored {
            rows = self.anchors();
        }
        if delete {
            rows = rows.iter().map(|row| self.tables[table].identity(row)).collect();
            let anchor = |row: &Row| row[0].as_deref().is_some_and(|id| id.parse::<u64>().unwrap() < ANCHORS);
            rows.retain(|row| table != ACCOUNT || !anchor(row));
        }
        self.next_key += 1;
        let key = self.rng.chance(40).then(|| format!("key {}", self.next_key));
        Request { table, delete, rows, key, format: Text::any(&mut self.rng) }
    }

    fn anchors(&mut self) -> Vec<Row> {
        let mut row = |id: u64| {
            self.next_serial += 1;
            let mut row = tables::row(ACCOUNT, self.next_serial, &mut self.rng);
            row[0] = Some(id.to_string());
            row
        };
        (0..ANCHORS).map(&mut row).collect()
    }

    fn moment(&mut self) -> u64 {
        self.next_moment += 1;
        self.next_moment
    }

    fn prepare(&mut self, request: Request) -> Result<bool, String> {
        if request.rows.is_empty() {
            return Ok(false);
        }
        let table = &self.tables[request.table];
        let (batch, source) = (request.batch(table), request.source(table));
        let (files, failures, now_ms) = (self.disk.paths(), self.failures(), self.now_ms);
        let (writable, overdue) = (self.is_writable()?, self.is_overdue(&request));
        // One that was stored is known again, whatever came since.
        let stored = self.standing(&request) == Some(Standing::There);
        let prepared = self.store().preparer().prepare(batch, source, now_ms);
        match if stored { prepared } else { prepared.and_then(Prepared::into_storable) } {
            Ok(prepared) => {
                let large = self.disk.paths().iter().any(|path| !files.contains(path));
                self.report.count(if large { "large batches" } else { "small batches" }, 1);
                let moment = large.then(|| self.moment());
                self.waiting.push(Waiting { prepared, request, moment });
                Ok(true)
            }
            Err(_) if !writable => {
                self.report.count("refused batches", 1);
                Ok(false)
            }
            Err(_) if self.failures() > failures => Ok(false),
            Err(StoreError::RowsRefused { .. }) if overdue => Ok(false),
            Err(error) => Err(format!("a good batch is refused: {error}")),
        }
    }

    /// Whether the store may refuse rows since their time is over.
    fn is_overdue(&self, request: &Request) -> bool {
        let table = &self.tables[request.table];
        !request.delete && request.rows.iter().any(|row| table.may_be_expired(row, self.day() + 1))
    }

    fn prepare_one(&mut self) -> Result<bool, String> {
        let request = self.request();
        self.prepare(request)
    }

    /// One group of batches, prepared now or some time ago.
    fn commit_some(&mut self) -> Result<(), String> {
        for _ in 0..self.rng.below(4) {
            self.prepare_one()?;
        }
        if self.store().is_full() && !self.disk.is_stopped() && self.rng.chance(90) {
            self.report.count("times full", 1);
            self.work_off()?;
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        if self.rng.chance(20) {
            let kept = self.rng.index(waiting.len() + 1);
            self.waiting = waiting.split_off(kept);
        }
        self.rng.shuffle(&mut waiting);
        if self.rng.chance(5) {
            waiting.pop();
        }
        self.commit(waiting)
    }

    fn commit(&mut self, waiting: Vec<Waiting>) -> Result<(), String> {
        let writable = self.is_writable()?;
        let (failures, now_ms) = (self.failures(), self.now_ms);
        let mut requests = Vec::new();
        let mut group = Vec::new();
        for Waiting { prepared, request, moment } in waiting {
            let moment = moment.unwrap_or_else(|| self.moment());
            requests.push((request, moment));
            group.push(prepared);
        }
        let results = self.store().commit(group, now_ms);
        if results.len() != requests.len() {
            return Err(format!("{} results of {} batches", results.len(), requests.len()));
        }
        for ((request, moment), result) in requests.into_iter().zip(results) {
            match result {
                Ok(ack) if ack.already_loaded || !self.read_only => self.acknowledged(request, moment, &ack)?,
                Ok(ack) => return Err(format!("{ack:?}, though nothing was to be written any more")),
                Err(StoreError::Stale { .. }) => self.report.count("stale batches", 1),
                Err(_) if self.failures() > failures => {
                    self.report.count("unknown batches", 1);
                    self.model.add(request, false, moment);
                }
                Err(error) if !writable => {
                    self.report.count("refused batches", 1);
                    self.read_only |= matches!(error, StoreError::ReadOnly { .. });
                }
                Err(error) => return Err(format!("a good batch is refused: {error}")),
            }
        }
        if !self.disk.is_stopped() && self.rng.chance(30) {
            self.check()?;
        }
        Ok(())
    }

    fn acknowledged(&mut self, request: Request, moment: u64, ack: &Ack) -> Result<(), String> {
        let known = self.standing(&request);
        let agrees = match known {
            Some(Standing::There) => ack.already_loaded,
            Some(Standing::Unknown) => true,
            Some(Standing::Absent) | None => !ack.already_loaded,
        };
        if !agrees || ack.rows != request.rows.len() as u64 || (ack.version < self.version && !ack.already_loaded) {
            return Err(format!("{ack:?} for {} rows that are {known:?}", request.rows.len()));
        }
        if ack.already_loaded {
            self.report.count("known batches", 1);
            self.model.confirm(request.key.as_deref().unwrap_or_default());
        } else {
            self.report.count("acknowledged batches", 1);
            self.version = ack.version;
            self.model.add(request, true, moment);
        }
        Ok(())
    }

    /// What is known of a batch with this one's key.
    fn standing(&self, request: &Request) -> Option<Standing> {
        let key = request.key.as_ref()?;
        let known = self.model.keyed().into_iter().find(|(known, _)| known.key.as_ref() == Some(key));
        known.map(|(_, standing)| standing)
    }

    /// Sends a batch again that was sent with a key.
    fn repeat_one(&mut self) -> Result<(), String> {
        let known = self.model.keyed();
        if known.is_empty() {
            return Ok(());
        }
        let (request, standing) = self.rng.pick(&known).clone();
        if standing == Standing::There && self.rng.chance(30) {
            return self.reuse_key(request);
        }
        let anchored = request.table != tables::ORDERS || self.model.visible(ACCOUNT).len() as u64 >= ANCHORS;
        if anchored && self.prepare(request)? {
            let waiting = self.waiting.pop().into_iter().collect();
            return self.commit(waiting);
        }
        Ok(())
    }

    /// Sends other rows with a key that is taken.
    fn reuse_key(&mut self, mut request: Request) -> Result<(), String> {
        if request.delete || request.table == tables::ORDERS {
            return Ok(());
        }
        request.rows = self.rows(request.table);
        let table = &self.tables[request.table];
        let (batch, source, now_ms) = (request.batch(table), request.source(table), self.now_ms);
        let prepared = self.store().preparer().prepare(batch, source, now_ms);
        let result = prepared.and_then(|prepared| self.store().commit(vec![prepared], now_ms).swap_remove(0));
        if result.is_ok() {
            return Err("a key was used for two batches".to_owned());
        }
        self.report.count("reused keys", 1);
        Ok(())
    }

    /// Batches that no store may take.
    fn refuse_one(&mut self) -> Result<(), String> {
        let mut request = self.request();
        let refused = match request.table {
            ACCOUNT if !request.delete => {
                request.rows[0][1] = Some((*self.rng.pick(&["us", "nowhere"])).to_owned());
                true
            }
            tables::ORDERS if !request.delete => {
                request.rows[0][1] = Some("4711".to_owned());
                true
            }
            tables::NOTE | tables::EVENT => {
                request.delete = true;
                request.rows.clear();
                true
            }
            _ => false,
        };
        let table = &self.tables[request.table];
        let (batch, source, now_ms) = (request.batch(table), request.source(table), self.now_ms);
        let prepared = self.store().preparer().prepare(batch, source, now_ms).and_then(Prepared::into_storable);
        if refused && prepared.is_ok() {
            return Err("a bad batch is taken".to_owned());
        }
        Ok(())
    }

    fn pass_time(&mut self) -> Result<(), String> {
        let span = *self.rng.pick(&[1_000, DAY_MS / 24, 6 * DAY_MS]);
        if self.rng.chance(30) {
            self.now_ms -= self.rng.below(span);
        } else {
            self.now_ms += self.rng.below(span);
        }
        self.latest_ms = self.latest_ms.max(self.now_ms);
        Ok(())
    }
}
