//! What a set of policies says once it is accepted.

use domicile_types::{KeyValue, Residency};

use crate::world::{changed, column, files, name, region, set};

#[test]
fn homes_and_entities_are_those_of_the_root() {
    let set = set(&files());
    for dataset in ["customer", "orders", "item"] {
        assert_eq!(set.entity_root(&name(dataset)), Some(&name("customer")));
        assert_eq!(set.homes(&name(dataset)), [region("eu"), region("us")].into());
    }
    for dataset in ["part", "nowhere"] {
        assert_eq!(set.entity_root(&name(dataset)), None);
        assert_eq!(set.homes(&name(dataset)), [].into());
    }
    assert_eq!(set.residency(&name("part")), Some(&Residency::Reference));
    assert_eq!(set.residency(&name("nowhere")), None);
    assert_eq!(
        set.residency(&name("item")),
        Some(&Residency::Follows { dataset: name("orders"), column: "i_order".to_owned() })
    );
    let Some(Residency::Column { column, entity, homes }) = set.residency(&name("customer")) else {
        panic!("customer's own column says its home");
    };
    assert_eq!((column.as_str(), entity.as_str(), homes.len()), ("c_nation", "c_key", 3));
    assert_eq!(homes[&KeyValue::Integer(24)], region("us"));
    assert_eq!(set.regions(), [region("eu"), region("us")].into());
    assert_eq!(
        set.policies().map(|policy| policy.dataset.to_string()).collect::<Vec<_>>(),
        ["customer", "item", "orders"]
    );
}

#[test]
fn text_can_say_a_home_too() {
    let files = changed("customer.toml", "column = \"c_nation\"", "column = \"c_segment\"")
        .into_iter()
        .map(|(file, text)| (file, text.replace("[6, 7]", "[\"A\"]").replace("[24]", "[\"B\"]")))
        .collect::<Vec<_>>();
    let set = set(&files);
    let Some(Residency::Column { homes, .. }) = set.residency(&name("customer")) else { panic!("a column says it") };
    assert_eq!(homes[&KeyValue::Text("B".to_owned())], region("us"));
}

#[test]
fn the_digest_is_of_the_texts_in_any_order() {
    let forward = files();
    let mut backward = files();
    backward.reverse();
    assert_eq!(set(&forward).digest(), set(&backward).digest());
    let other = changed("item.toml", "version = 1", "version = 2");
    assert_ne!(set(&forward).digest(), set(&other).digest());
    assert_ne!(set(&forward).policy(&name("item")).unwrap().digest, set(&other).policy(&name("item")).unwrap().digest);
}

#[test]
fn follows_joins_are_recognized_in_both_directions() {
    #[track_caller]
    fn check(one: &str, other: &str, expect: bool) {
        let set = set(&files());
        assert_eq!(set.is_follows_join(&column(one), &column(other)), expect);
        assert_eq!(set.is_follows_join(&column(other), &column(one)), expect);
    }
    check("orders.o_customer", "customer.c_key", true);
    check("item.i_order", "orders.o_key", true);
    check("orders.o_key", "customer.c_key", false);
    check("orders.o_customer", "customer.c_nation", false);
    check("item.i_order", "customer.c_key", false);
    check("item.i_line", "part.p_key", false);
    check("orders.o_customer", "orders.o_customer", false);
}
