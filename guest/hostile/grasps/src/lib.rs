//! Makes handles without end: the host has to end the call at its limit.

use domicile_sdk::bindings::query::export_query;
use domicile_sdk::bindings::query::exports::domicile::plugin::query::{
    Guest, GuestSession, QueryDescriptor, Session, Table,
};
use domicile_sdk::{Field, Value, ValueType};

struct Grasps;

impl Guest for Grasps {
    type Session = Self;

    fn describe() -> QueryDescriptor {
        let fields = || vec![Field { name: "x".to_owned(), kind: ValueType::Bigint }];
        QueryDescriptor {
            parameters: Vec::new(),
            input: "SELECT 1 AS x".to_owned(),
            columns: fields(),
            partial: fields(),
            outputs: fields(),
        }
    }
}

impl GuestSession for Grasps {
    fn open(_parameters: Vec<Value>) -> Result<Session, String> {
        let mut sessions = Vec::new();
        loop {
            sessions.push(std::hint::black_box(Session::new(Grasps)));
        }
    }

    fn input(&self, _rows: Table) -> Result<(), String> {
        Ok(())
    }

    fn partial(&self) -> Result<Table, String> {
        Err("nothing".to_owned())
    }

    fn merge(&self, _rows: Table) -> Result<(), String> {
        Ok(())
    }

    fn finish(&self) -> Result<Table, String> {
        Err("nothing".to_owned())
    }
}

export_query!(Grasps);
