//! Which clauses are about a border: found without looking at the others.

use std::collections::BTreeMap;

use domicile_types::RegionId;

use crate::Clause;

/// For each region, the clauses that let data leave it and those that let data come, one bit a clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Borders {
    from: BTreeMap<RegionId, Vec<u64>>,
    to: BTreeMap<RegionId, Vec<u64>>,
}

impl Borders {
    pub(crate) fn of(clauses: &[Clause]) -> Self {
        let words = clauses.len().div_ceil(64);
        let mut borders = Self { from: BTreeMap::new(), to: BTreeMap::new() };
        for (index, clause) in clauses.iter().enumerate() {
            for (side, regions) in [(&mut borders.from, &clause.from), (&mut borders.to, &clause.to)] {
                for region in regions {
                    side.entry(region.clone()).or_insert_with(|| vec![0; words])[index / 64] |= 1 << (index % 64);
                }
            }
        }
        borders
    }

    /// The places of the clauses about this border, in their order.
    pub(crate) fn between(&self, from: &RegionId, to: &RegionId) -> impl Iterator<Item = usize> {
        let both = self.from.get(from).zip(self.to.get(to));
        let words = both.into_iter().flat_map(|(from, to)| from.iter().zip(to).map(|(from, to)| from & to).enumerate());
        words.flat_map(|(word, bits)| (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit))
    }
}
