//! The rule of the guard, written down a second time.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace;
use domicile_tests::oracle::Cell;

/// What the shipped policies say.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Fewest entities of a group.
    pub minimum_entities: u64,
    /// Largest share that one entity may make up of a count or a sum.
    pub dominance_percent: f64,
}

impl Rule {
    /// The strictest of the shipped policies.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn shipped() -> Result<Self> {
        let mut rule = Self { minimum_entities: 0, dominance_percent: 100.0 };
        for dataset in ["customer", "orders", "lineitem"] {
            let file = workspace::regions_dir().join("policies").join(format!("{dataset}.toml"));
            let policy: toml::Table = toml::from_str(&fs::read_to_string(file)?)?;
            let number = |key: &str| policy["allow"][0].get(key).and_then(toml::Value::as_integer).context("no number");
            rule.minimum_entities = rule.minimum_entities.max(number("minimum_entities")?.try_into()?);
            rule.dominance_percent = rule.dominance_percent.min(number("dominance_percent")? as f64);
        }
        Ok(rule)
    }
}

/// One group of one home.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its keys.
    pub key: Vec<Cell>,
    /// What each entity in it adds to each value.
    members: BTreeMap<u64, Vec<f64>>,
    /// Which values are computed on one side of a condition only; all others where there are fewer.
    one_sided: Vec<bool>,
}

/// What is known of a value of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Evidence {
    /// Entities that have part in the value.
    present: u64,
    /// The largest part.
    top: f64,
    whole: f64,
    /// Whether it is computed of other groups, as they are on the other side of a condition.
    elsewhere: bool,
}

/// What is known of a group, or of several together.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    entities: u64,
    values: Vec<Evidence>,
}

impl Group {
    /// How many entities are in it.
    pub fn entities(&self) -> u64 {
        self.members.len() as u64
    }

    /// Whether enough entities are behind it, none of which makes up too much of a value.
    pub fn is_sound(&self, rule: &Rule) -> bool {
        self.known().is_sound(rule)
    }

    fn known(&self) -> Known {
        let mut values = vec![Evidence::default(); self.members.values().next().map_or(0, Vec::len)];
        for parts in self.members.values() {
            for (value, part) in values.iter_mut().zip(parts) {
                // Who has nothing to count, or to sum, has no part.
                value.present += u64::from(*part != 0.0);
                value.top = value.top.max(*part);
                value.whole += part;
            }
        }
        for (value, one_sided) in values.iter_mut().zip(&self.one_sided) {
            value.elsewhere = *one_sided && value.present == 0;
        }
        Known { entities: self.entities(), values }
    }
}

impl Known {
    fn is_sound(&self, rule: &Rule) -> bool {
        let shared = |value: &Evidence| value.top <= value.whole * rule.dominance_percent / 100.0;
        let is_sound = |value: &Evidence| value.present >= rule.minimum_entities && shared(value);
        self.entities >= rule.minimum_entities && self.values.iter().all(|value| value.elsewhere || is_sound(value))
    }

    /// Both together, where nobody knows whether their entities are the same ones.
    fn and(mut self, other: &Self) -> Self {
        self.entities = self.entities.max(other.entities);
        for (value, other) in self.values.iter_mut().zip(&other.values) {
            value.present = value.present.max(other.present);
            value.top += other.top;
            value.whole += other.whole;
            value.elsewhere &= other.elsewhere;
        }
        self
    }
}

/// What the guard may know about the groups that it holds back together. It may keep entities apart by less than their
/// names, so that it knows something between these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowing {
    /// Which entities are in which group.
    Entities,
    /// Only how many there are in each.
    Numbers,
}

impl Knowing {
    /// What is known of the groups that are held back; none where none is.
    fn together(self, groups: &[Group], held: &[bool]) -> Option<Known> {
        let mut held = groups.iter().zip(held).filter(|(_, held)| **held).map(|(group, _)| group);
        let mut all = held.next()?.clone();
        if self == Self::Numbers {
            return Some(held.fold(all.known(), |known, group| known.and(&group.known())));
        }
        for (entity, parts) in held.flat_map(|group| &group.members) {
            let sums = all.members.entry(*entity).or_insert_with(|| vec![0.0; parts.len()]);
            sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        }
        Some(all.known())
    }
}

/// The groups of each home from what each entity adds: rows of home, entity, `keys` keys, and parts, sorted by home and
/// keys. `one_sided` says of the first parts which are computed on one side of a condition only.
///
/// # Errors
/// Where a row is something else.
pub fn groups(rows: &[Vec<Cell>], keys: usize, one_sided: &[bool]) -> Result<BTreeMap<String, Vec<Group>>> {
    let mut homes: BTreeMap<String, Vec<Group>> = BTreeMap::new();
    for row in rows {
        ensure!(row.len() >= keys + 2, "a row without keys");
        let Cell::Text(home) = &row[0] else { continue };
        let (key, parts) = row[2..].split_at(keys);
        let groups = homes.entry(home.clone()).or_default();
        if groups.last().is_none_or(|last| last.key != key) {
            groups.push(Group { key: key.to_vec(), members: BTreeMap::new(), one_sided: one_sided.to_vec() });
        }
        let (Some(group), Cell::Number(entity)) = (groups.last_mut(), &row[1]) else { continue };
        let part = |part: &Cell| if let Cell::Number(part) = part { part.abs() } else { 0.0 };
        group.members.insert(*entity as u64, parts.iter().map(part).collect());
    }
    Ok(homes)
}

/// Which groups have to be held back: the unsound, and of each total that could be asked for the smallest others until
/// all that is held back of it is sound together. The second value says whether equally small ones could have been meant
/// instead.
pub fn held_back(groups: &[Group], rule: &Rule, knowing: Knowing) -> (Vec<bool>, bool) {
    let mut held: Vec<bool> = groups.iter().map(|group| !group.is_sound(rule)).collect();
    let (mut is_ambiguous, mut changed) = (false, true);
    let totals = totals(groups);
    while changed {
        changed = false;
        for total in &totals {
            let mut smallest: Vec<usize> = total.iter().copied().filter(|at| !held[*at]).collect();
            smallest.sort_by_key(|at| groups[*at].entities());
            let mut smallest = smallest.into_iter().peekable();
            let back = |held: &[bool]| (0..held.len()).map(|at| held[at] && total.contains(&at)).collect::<Vec<_>>();
            let mut last = None;
            // One alone would be known from the total and the others.
            let is_alone = |back: &[bool]| back.iter().filter(|back| **back).count() == 1 && total.len() > 1;
            let is_small = |back: &[bool]| knowing.together(groups, back).is_some_and(|all| !all.is_sound(rule));
            while is_small(&back(&held)) || is_alone(&back(&held)) {
                let Some(next) = smallest.next() else { break };
                held[next] = true;
                last = Some(next);
            }
            changed |= last.is_some();
            let tie = last.zip(smallest.peek()).is_some_and(|(a, b)| groups[a].entities() == groups[*b].entities());
            is_ambiguous |= tie;
        }
    }
    (held, is_ambiguous)
}

/// The groups of every total over some of the keys, and over months, quarters and years of dates; the smallest first.
fn totals(groups: &[Group]) -> Vec<Vec<usize>> {
    let width = groups.first().map_or(0, |group| group.key.len());
    let levels: Vec<Vec<Vec<String>>> =
        (0..width).map(|key| groups.iter().map(|it| coarser(&it.key[key])).collect()).collect();
    let depth = |key: usize| levels[key].iter().map(Vec::len).max().unwrap_or(0) + 1;
    let count: usize = (0..width).map(depth).product();
    let mut totals: Vec<Vec<usize>> = Vec::new();
    for number in 1..count.max(2) {
        let mut cells: BTreeMap<Vec<&str>, Vec<usize>> = BTreeMap::new();
        for group in 0..groups.len() {
            let (mut number, mut cell) = (number, Vec::new());
            for (key, levels) in levels.iter().enumerate() {
                cell.push(levels[group].get(number % depth(key)).map_or("", String::as_str));
                number /= depth(key);
            }
            cells.entry(cell).or_default().push(group);
        }
        totals.extend(cells.into_values());
    }
    totals.sort_by_key(Vec::len);
    totals
}

/// A key, and its month, quarter and year if it is a date.
fn coarser(key: &Cell) -> Vec<String> {
    let text = format!("{key:?}");
    let Cell::Text(date) = key else { return vec![text] };
    match date.split('-').collect::<Vec<_>>().as_slice() {
        [year, month, _] if year.len() == 4 && year.parse::<u32>().is_ok() => {
            let quarter = month.parse::<u32>().map_or(0, |month| month.div_ceil(3));
            vec![text, format!("{year}-{month}"), format!("{year} quarter {quarter}"), (*year).to_owned()]
        }
        _ => vec![text],
    }
}

/// Judges what is held back: `Err` with a group that must not leave, `Ok` with the number of groups that are held back
/// beyond the rule.
///
/// # Errors
/// A group that leaves although it is unsound, or that can be subtracted.
pub fn judge(groups: &[Group], held: &[bool], rule: &Rule) -> Result<u64> {
    for (group, held) in groups.iter().zip(held) {
        ensure!(*held || group.is_sound(rule), "{:?} left, with {} entities", group.key, group.entities());
    }
    let open = held.iter().any(|held| !held);
    if let Some(all) = Knowing::Entities.together(groups, held) {
        ensure!(!open || all.is_sound(rule), "what is held back can be subtracted: {} entities", all.entities);
    }
    let needed = held_back(groups, rule, Knowing::Numbers).0;
    let chosen = |held: &[bool]| -> Vec<u64> {
        groups.iter().zip(held).filter(|(_, held)| **held).map(|(group, _)| group.entities()).collect()
    };
    let (held, needed) = (chosen(held), chosen(&needed));
    let larger = u64::from(held.len() >= needed.len() && held.iter().sum::<u64>() > needed.iter().sum());
    Ok(larger.max(held.len().saturating_sub(needed.len()) as u64))
}

/// How many groups a region reports as held back. It says nothing of groups that too few entities are behind.
pub fn is_reported(groups: &[Group], held: &[bool], reported: u64, rule: &Rule) -> bool {
    let count = held.iter().filter(|held| **held).count() as u64;
    let enough = Knowing::Entities.together(groups, held).is_some_and(|all| all.entities >= rule.minimum_entities);
    reported == count.next_multiple_of(rule.minimum_entities) || (reported == 0 && !enough)
}
