//! Which groups are held back, so that nobody who asks for totals as well gets any that is too small by subtracting.

use domicile_policy::Verdict;

use super::equations;
use super::trace::Places;

/// What the guard knows about a group.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) entities: u64,
    /// Places of its entities; each has one, and several may share it.
    pub(super) places: Places,
    pub(super) values: Vec<Evidence>,
    /// Whether too few stand behind one of its values that do not behind another.
    pub(super) is_near: bool,
}

/// What it knows about one value of a group.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Evidence {
    pub(super) present: u64,
    /// The largest contribution of one entity, or more.
    pub(super) top: f64,
    pub(super) whole: f64,
}

impl Evidence {
    /// Enough people, none of whom makes up too much. That nobody has part in a value would tell about everybody.
    fn is_sound(&self, verdict: &Verdict) -> bool {
        let share_max = verdict.dominance_percent as f64 / 100.0;
        // What is not a number is not a small share either.
        let shared = self.whole.is_finite() && self.top <= self.whole * share_max;
        let present = self.present >= verdict.minimum_entities || verdict.minimum_entities <= 1;
        present && (shared || verdict.dominance_percent >= 100)
    }
}

impl Group {
    pub(super) fn is_sound(&self, verdict: &Verdict) -> bool {
        let enough = self.entities >= verdict.minimum_entities && !self.is_near;
        enough && self.values.iter().all(|value| value.is_sound(verdict))
    }

    /// What is known of both together. Entities may be in both, so that there are at least as many as in the larger, and
    /// as places that either has; and one of them may contribute as much as the largest of each.
    fn add(&mut self, other: &Self) {
        let (ours, theirs) = (self.entities, other.entities);
        self.places.iter_mut().zip(&other.places).for_each(|(places, more)| *places |= more);
        let places = self.places.iter().map(|places| u64::from(places.count_ones())).sum();
        self.entities = ours.max(theirs).max(places);
        for (value, other) in self.values.iter_mut().zip(&other.values) {
            let all = value.present == ours && other.present == theirs;
            value.present = if all { self.entities } else { value.present.max(other.present) };
            value.top += other.top;
            value.whole += other.whole;
        }
        // What too few of one group stand behind may be enough together: whoever asks for that is judged by it.
        self.is_near = false;
    }

    /// What is known of several together; none of none.
    pub(super) fn together<'g>(mut groups: impl Iterator<Item = &'g Self>) -> Option<Self> {
        let mut all = groups.next()?.clone();
        groups.for_each(|group| all.add(group));
        Some(all)
    }
}

/// Unknown groups, and totals that they are in, that are solved for as equations.
const UNKNOWNS_MAX: usize = 128;
const EQUATIONS_MAX: usize = 256;
/// Times that groups are held back to keep others from being solved for, before everything is.
const ROUNDS_MAX: usize = 32;

/// Which groups are released. `margins` lists the groups of every total that can be asked for beside them, in ascending
/// order; without it nothing is released where anything is held back.
pub(super) fn open(groups: &[Group], margins: Option<&[Vec<usize>]>, verdict: &Verdict) -> Vec<bool> {
    let sound = groups.iter().map(|group| group.is_sound(verdict)).collect();
    open_of(groups, margins, verdict, Sound { groups: sound, declared: false })
}

/// The same where `groups` are all that there can be. Those that are not `sound` are blanks: whether anybody is in one
/// changes nothing.
pub(super) fn open_declared(
    groups: &[Group],
    margins: Option<&[Vec<usize>]>,
    verdict: &Verdict,
    sound: Vec<bool>,
) -> Vec<bool> {
    open_of(groups, margins, verdict, Sound { groups: sound, declared: true })
}

/// Which groups may leave as far as they go alone.
struct Sound {
    groups: Vec<bool>,
    /// The others are the same whether somebody is in them or not.
    declared: bool,
}

fn open_of(groups: &[Group], margins: Option<&[Vec<usize>]>, verdict: &Verdict, sound: Sound) -> Vec<bool> {
    let mut open = sound.groups.clone();
    if open.iter().all(|open| *open) {
        return open;
    }
    let nothing = vec![false; groups.len()];
    let Some(margins) = margins else { return nothing };
    let table = Table { groups, margins, verdict, sound };
    for _ in 0..ROUNDS_MAX {
        table.complement(&mut open);
        let known = table.derivable(&open);
        if known.is_empty() {
            return open;
        }
        // What can be solved for needs company in one of its totals.
        for group in known {
            match table.company(group, &open) {
                Some(company) => open[company] = false,
                None => return nothing,
            }
        }
    }
    nothing
}

/// What is held back of a total.
#[derive(Default)]
struct Remainder {
    count: usize,
    blank: bool,
    all: Option<Group>,
    /// Without those that are blanks.
    certain: Option<Group>,
}

impl Remainder {
    fn add(&mut self, group: &Group, blank: bool) {
        self.count += 1;
        self.blank |= blank;
        let sums = [Some(&mut self.all), (!blank).then_some(&mut self.certain)];
        for sum in sums.into_iter().flatten() {
            match sum {
                Some(sum) => sum.add(group),
                None => *sum = Some(group.clone()),
            }
        }
    }

    /// Whether that is two groups which are sound as one; where any is a blank, also if nobody is in the blanks.
    fn is_enough(&self, verdict: &Verdict) -> bool {
        let is_sound = |all: &Option<Group>| all.as_ref().is_some_and(|all| all.is_sound(verdict));
        self.count > 1 && is_sound(&self.all) && (!self.blank || is_sound(&self.certain))
    }
}

struct Table<'t> {
    groups: &'t [Group],
    margins: &'t [Vec<usize>],
    verdict: &'t Verdict,
    sound: Sound,
}

impl Table<'_> {
    fn is_blank(&self, group: usize) -> bool {
        self.sound.declared && !self.sound.groups[group]
    }

    fn size(&self, group: usize) -> u64 {
        self.groups[group].entities
    }

    /// Holds back the smallest further groups until what is held back of each total is nothing, all of it, or at least
    /// two groups that are sound as one.
    fn complement(&self, open: &mut [bool]) {
        let mut changed = true;
        while changed {
            changed = false;
            for margin in self.margins {
                changed |= self.complement_in(margin, open);
            }
        }
    }

    /// The same for one total; whether that took any group.
    fn complement_in(&self, margin: &[usize], open: &mut [bool]) -> bool {
        let (mut smallest, held): (Vec<usize>, Vec<usize>) = margin.iter().partition(|at| open[**at]);
        let mut remainder = Remainder::default();
        held.iter().for_each(|at| remainder.add(&self.groups[*at], self.is_blank(*at)));
        if smallest.is_empty() || held.is_empty() || remainder.is_enough(self.verdict) {
            return false;
        }
        smallest.sort_by_key(|at| self.size(*at));
        for at in smallest {
            open[at] = false;
            remainder.add(&self.groups[at], false);
            if remainder.is_enough(self.verdict) {
                break;
            }
        }
        true
    }

    /// The smallest open group that shares a total with this one.
    fn company(&self, group: usize, open: &[bool]) -> Option<usize> {
        let shared = self.margins.iter().filter(|margin| margin.binary_search(&group).is_ok());
        shared.flatten().copied().filter(|at| open[*at]).min_by_key(|at| self.size(*at))
    }

    /// Whether a total could be large enough to be released to somebody who asks for it.
    fn may_be_released(&self, margin: &[usize]) -> bool {
        match margin {
            [group] => self.sound.groups[*group],
            // How many there are may depend on who is in a blank.
            _ if margin.iter().any(|at| self.is_blank(*at)) => true,
            _ => {
                let at_most = margin.iter().map(|at| self.size(*at)).fold(0, u64::saturating_add);
                at_most >= self.verdict.minimum_entities
            }
        }
    }

    /// The unsound groups that follow from the open ones and totals. Of large tables only those that follow from one total
    /// after the other are found.
    fn derivable(&self, open: &[bool]) -> Vec<usize> {
        let asked: Vec<&Vec<usize>> = self.margins.iter().filter(|margin| self.may_be_released(margin)).collect();
        let unknowns: Vec<usize> = (0..open.len()).filter(|at| !open[*at]).collect();
        let mut derived = if unknowns.len() <= UNKNOWNS_MAX && asked.len() <= EQUATIONS_MAX {
            let equation = |margin: &&Vec<usize>| {
                unknowns.iter().map(|unknown| u64::from(margin.binary_search(unknown).is_ok())).collect()
            };
            let solved = equations::solved(asked.iter().map(equation).collect(), unknowns.len());
            solved.into_iter().map(|unknown| unknowns[unknown]).collect()
        } else {
            following(&asked, open)
        };
        derived.retain(|group| !self.sound.groups[*group]);
        derived
    }
}

/// The groups that are known one after the other: the only one that is missing of a total is, and then may be the last
/// but one of others.
fn following(asked: &[&Vec<usize>], open: &[bool]) -> Vec<usize> {
    let mut of_group: Vec<Vec<usize>> = vec![Vec::new(); open.len()];
    let mut missing: Vec<usize> = Vec::with_capacity(asked.len());
    for (number, margin) in asked.iter().enumerate() {
        let held = margin.iter().filter(|at| !open[**at]);
        missing.push(held.inspect(|at| of_group[**at].push(number)).count());
    }
    let mut known = open.to_vec();
    let mut solvable: Vec<usize> = (0..asked.len()).filter(|number| missing[*number] == 1).collect();
    let mut following = Vec::new();
    while let Some(number) = solvable.pop() {
        let Some(group) = asked[number].iter().copied().find(|at| !known[*at]) else { continue };
        known[group] = true;
        following.push(group);
        for other in &of_group[group] {
            missing[*other] -= 1;
            if missing[*other] == 1 {
                solvable.push(*other);
            }
        }
    }
    following
}

#[cfg(test)]
mod tests;
