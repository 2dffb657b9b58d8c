//! All unsafe code of the crate: three places where the engine takes our word for something, each with its proof.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use arrow::buffer::ScalarBuffer;
use arrow::datatypes::ArrowNativeType;
use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext};
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, ComponentType, Func, Instance, Lift, Lower, TypedFunc,
};
use wasmtime::{AsContextMut, Engine, Result, Store};

use crate::artefact::Artefact;
use crate::host::HostState;

/// Part of an Arrow buffer, on its way into a plugin as a list, without a copy on the host's side.
pub(crate) struct Elements<T: ArrowNativeType>(pub(crate) ScalarBuffer<T>);

// SAFETY: everything is that of `[T]`, whose implementation keeps the trait's promises, and `Elements<T>` is only ever
// lowered through a slice of its elements.
unsafe impl<T: ArrowNativeType + ComponentType> ComponentType for Elements<T> {
    type Lower = <[T] as ComponentType>::Lower;

    const ABI: CanonicalAbiInfo = <[T] as ComponentType>::ABI;
    const MAY_REQUIRE_REALLOC: bool = <[T] as ComponentType>::MAY_REQUIRE_REALLOC;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        <[T] as ComponentType>::typecheck(ty, types)
    }
}

// SAFETY: both methods are those of `[T]`, called with its own representation (`Self::Lower` is that of `[T]`).
unsafe impl<T: ArrowNativeType + Lower> Lower for Elements<T> {
    fn linear_lower_to_flat<U>(
        &self,
        cx: &mut LowerContext<'_, U>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        <[T] as Lower>::linear_lower_to_flat(&self.0, cx, ty, dst)
    }

    fn linear_lower_to_memory<U>(&self, cx: &mut LowerContext<'_, U>, ty: InterfaceType, offset: usize) -> Result<()> {
        <[T] as Lower>::linear_lower_to_memory(&self.0, cx, ty, offset)
    }
}

/// The type of an exported function. What goes in may borrow.
pub(crate) trait Signature {
    /// What the function takes. Types of two lifetimes differ in nothing else.
    type Params<'a>: ComponentNamedList + Lower;
    /// What it answers.
    type Results: ComponentNamedList + Lift + 'static;
}

/// An export of a component whose type has been compared with `S`.
pub(crate) struct Export<S> {
    index: ComponentExportIndex,
    signature: PhantomData<fn() -> S>,
}

impl<S: Signature> Export<S> {
    /// Looks at an export of one instance, whose type is that of all instances of its component.
    pub(crate) fn check(
        store: &mut Store<HostState>,
        instance: &Instance,
        index: ComponentExportIndex,
    ) -> Result<Self> {
        instance.get_typed_func::<S::Params<'static>, S::Results>(store.as_context_mut(), &index)?;
        Ok(Self { index, signature: PhantomData })
    }

    /// The export of an instance; none where the instance is of another component.
    pub(crate) fn bind(&self, store: &mut Store<HostState>, instance: &Instance) -> Option<Bound<S>> {
        let func = instance.get_func(store, self.index)?;
        Some(Bound { func, signature: PhantomData })
    }
}

/// A function of an instance, of type `S`.
pub(crate) struct Bound<S> {
    func: Func,
    signature: PhantomData<fn() -> S>,
}

impl<S: Signature> Bound<S> {
    pub(crate) fn call(&self, store: &mut Store<HostState>, params: S::Params<'_>) -> Result<S::Results> {
        // SAFETY: only `Export::bind` makes a `Bound<S>`, from an `Export<S>`, which only `Export::check` makes once the
        // engine has compared the types. The index in it belongs to one component, which `get_func` compares with the
        // instance's, and all instances of a component have functions of the same types. Lifetimes are no part of them.
        let typed = unsafe { TypedFunc::<S::Params<'_>, S::Results>::new_unchecked(self.func) };
        typed.call(store, params)
    }
}

/// Takes in what a compiler made, now or earlier.
pub(crate) fn deserialize(engine: &Engine, artefact: &Artefact) -> Result<Component> {
    // SAFETY: an `Artefact` is made in two places. `compile` makes one from the standard output of a process that it
    // started itself, whose program is part of the host's configuration and runs `compile_stdin_to_stdout`.
    // `ArtefactCache::get` makes one from a file, once its HMAC-SHA256 is that of these bytes for this engine and this
    // component, under a key of 32 random bytes that nothing but the cache's directory has. Only
    // `ArtefactCache::put` makes such a code, and it takes an `Artefact`; someone else could only with the key, and who
    // can read or replace that in the host's own directory could as well replace the program. The bytes were read once,
    // into memory that nothing else writes, and are those that were verified: a file that changes later changes nothing.
    // Neither has come over a network. The engine compares its own version and settings with those in it.
    unsafe { Component::deserialize(engine, artefact.bytes()) }
}
