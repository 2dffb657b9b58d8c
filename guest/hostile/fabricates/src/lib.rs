//! Gives tables that it did not declare. The parameter `lie` says in which way.

use std::cell::RefCell;

use domicile_sdk::bindings::functions::domicile::plugin::columns::{self, Contents, Values};
use domicile_sdk::bindings::query::export_query;
use domicile_sdk::bindings::query::exports::domicile::plugin::query::{
    Guest, GuestSession, QueryDescriptor, Session, Table,
};
use domicile_sdk::{Field, Parameter, Value, ValueType};

struct Fabricates {
    lie: RefCell<String>,
}

fn bigints(rows: usize) -> u32 {
    columns::write(&Contents { values: Values::Bigint(vec![7; rows]), validity: None })
}

impl Guest for Fabricates {
    type Session = Self;

    fn describe() -> QueryDescriptor {
        let fields = || vec![Field { name: "n".to_owned(), kind: ValueType::Bigint }];
        QueryDescriptor {
            parameters: vec![Parameter { name: "lie".to_owned(), default: Value::Text("none".to_owned()) }],
            input: "SELECT 1 AS n".to_owned(),
            columns: fields(),
            partial: fields(),
            outputs: fields(),
        }
    }
}

impl GuestSession for Fabricates {
    fn open(parameters: Vec<Value>) -> Result<Session, String> {
        match parameters.into_iter().next() {
            Some(Value::Text(lie)) => Ok(Session::new(Self { lie: RefCell::new(lie) })),
            _ => Err("there is one parameter".to_owned()),
        }
    }

    fn input(&self, _rows: Table) -> Result<(), String> {
        Ok(())
    }

    fn partial(&self) -> Result<Table, String> {
        Ok(match self.lie.borrow().as_str() {
            "fewer rows" => Table { rows: 3, columns: vec![bigints(2)] },
            "many rows" => Table { rows: u32::MAX, columns: vec![bigints(2)] },
            "no columns" => Table { rows: 3, columns: Vec::new() },
            "too many columns" => Table { rows: 1, columns: vec![bigints(1), bigints(1)] },
            "another type" => {
                let contents = Contents { values: Values::Boolean(vec![true]), validity: None };
                Table { rows: 1, columns: vec![columns::write(&contents)] }
            }
            _ => Table { rows: 2, columns: vec![bigints(2)] },
        })
    }

    fn merge(&self, _rows: Table) -> Result<(), String> {
        Ok(())
    }

    fn finish(&self) -> Result<Table, String> {
        self.partial()
    }
}

export_query!(Fabricates);
