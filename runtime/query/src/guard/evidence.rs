//! The evidence that the guard needs of each group, as one aggregate that the engine computes beside the others.

mod figures;
mod kept;
mod layout;
mod rows;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, LargeBinaryBuilder};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility,
};

use super::MarkKey;
use kept::Kept;
pub(super) use layout::{Condition, Layout, Number, SumOf, TrailOf, ValueOf, VersionOf, WeightOf};

/// The evidence of each group, as a struct of the columns that [`Layout`] tells of.
pub(super) fn evidence(key: MarkKey, layout: Layout, columns: Vec<Expr>) -> Expr {
    let signature = Signature::variadic_any(Volatility::Immutable);
    AggregateUDF::from(Evidence { key, layout: Arc::new(layout), signature }).call(columns)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Evidence {
    key: MarkKey,
    layout: Arc<Layout>,
    signature: Signature,
}

impl Evidence {
    fn groups(&self) -> Groups {
        Groups { key: self.key, layout: Arc::clone(&self.layout), kept: Kept::new(&self.layout) }
    }
}

impl AggregateUDFImpl for Evidence {
    fn name(&self) -> &'static str {
        "_evidence"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(figures::fields(&self.layout)))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[state]", args.name), DataType::LargeBinary, true))])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(self.groups()))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups()))
    }
}

/// Evidence as the engine drives it.
#[derive(Debug)]
struct Groups {
    key: MarkKey,
    layout: Arc<Layout>,
    kept: Kept,
}

/// Where entities are apart, as many were counted as there are.
const APART: u32 = u32::MAX;

impl Groups {
    fn emit(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.kept.emitted(emit_to);
        let figures = figures::figures(&self.kept, &self.layout, groups)?;
        self.kept.forget(groups);
        Ok(Arc::new(figures))
    }

    /// The state of each group: which sums had signs, how many entities were counted before places were, and the words of
    /// each entity or place.
    fn state(&mut self, emit_to: EmitTo) -> ArrayRef {
        let groups = self.kept.emitted(emit_to);
        let signed: Vec<u8> = (0..self.layout.sums.len()).map(|sum| u8::from(self.kept.is_signed(sum))).collect();
        // From now on they are all written down.
        (0..signed.len()).for_each(|sum| self.kept.sign(sum));
        let mut states = LargeBinaryBuilder::new();
        let mut state = Vec::new();
        for group in 0..groups {
            state.clear();
            state.extend(&signed);
            state.extend(self.kept.group(group).places().unwrap_or(APART).to_le_bytes());
            for (entity, words) in self.kept.entries(group) {
                state.extend(entity.to_le_bytes());
                words.iter().for_each(|word| state.extend(word.to_le_bytes()));
            }
            states.append_value(&state);
        }
        self.kept.forget(groups);
        for sum in signed.iter().enumerate().filter(|(_, signed)| **signed == 0).map(|(sum, _)| sum) {
            self.kept.unsign(sum);
        }
        Arc::new(states.finish())
    }

    fn merge(&mut self, values: &[ArrayRef], groups: impl Iterator<Item = usize>) -> Result<()> {
        let no_state = || DataFusionError::Internal("the state of evidence is none".to_owned());
        let states = values.first().and_then(|states| states.as_binary_opt::<i64>()).ok_or_else(no_state)?;
        let mut words = Vec::new();
        for (state, group) in states.iter().zip(groups) {
            let Some(state) = state else { continue };
            let (signed, rest) = state.split_at_checked(self.layout.sums.len()).ok_or_else(no_state)?;
            let (entities, rest) = rest.split_first_chunk::<4>().ok_or_else(no_state)?;
            for (sum, _) in signed.iter().enumerate().filter(|(_, signed)| **signed != 0) {
                self.kept.sign(sum);
            }
            words.clear();
            words.extend(rest.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)));
            let entries = words.chunks_exact(1 + self.kept.words.width).map(|entry| (entry[0], &entry[1..]));
            let places = Some(u32::from_le_bytes(*entities)).filter(|entities| *entities != APART);
            self.kept.merge(group, places, entries)?;
        }
        Ok(())
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.kept.resize(total_num_groups);
        let Some(mask) = opt_filter else {
            return rows::add(&mut self.kept, &self.layout, self.key, values, group_indices);
        };
        let values = values.iter().map(|column| Ok(filter(column, mask)?)).collect::<Result<Vec<_>>>()?;
        let groups = group_indices.iter().zip(mask).filter(|(_, counts)| *counts == Some(true));
        let groups: Vec<usize> = groups.map(|(group, _)| *group).collect();
        rows::add(&mut self.kept, &self.layout, self.key, &values, &groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.emit(emit_to)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Self::state(self, emit_to)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.kept.resize(total_num_groups);
        self.merge(values, group_indices.iter().copied())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |column| column.len());
        let mut alone = Self { key: self.key, layout: Arc::clone(&self.layout), kept: Kept::new(&self.layout) };
        let groups: Vec<usize> = (0..rows).collect();
        GroupsAccumulator::update_batch(&mut alone, values, &groups, opt_filter, rows)?;
        Ok(vec![Self::state(&mut alone, EmitTo::All)])
    }

    fn size(&self) -> usize {
        self.kept.bytes()
    }
}

impl Accumulator for Groups {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |column| column.len());
        GroupsAccumulator::update_batch(self, values, &vec![0; rows], None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.kept.resize(1);
        ScalarValue::try_from_array(&self.emit(EmitTo::All)?, 0)
    }

    fn size(&self) -> usize {
        self.kept.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.kept.resize(1);
        Ok(vec![ScalarValue::try_from_array(&Self::state(self, EmitTo::All), 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.kept.resize(1);
        let rows = states.first().map_or(0, |column| column.len());
        self.merge(states, std::iter::repeat_n(0, rows))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
