use super::*;
use proptest::option::of;
use proptest::prelude::*;
use std::string::ToString;

fn parse(text: &str) -> Result<ImpairConfig, String> {
    text.parse::<ImpairConfig>().map_err(|e| e.to_string())
}

#[test]
fn every_key_means_what_the_table_says() {
    let c = parse(
        "loss=1%,delay=20ms,jitter=5ms,reorder=1%,duplicate=2%,corrupt=0.1%,rate=10mbit,queue=50,\
         burst-loss=1%/25%,mtu=1400,seed=7",
    )
    .unwrap();
    let i = Impairment {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(5),
        loss: Probability::percent(1.0),
        burst_loss: Some(BurstLoss {
            enter: Probability::percent(1.0),
            leave: Probability::percent(25.0),
            loss_in_bad: Probability::ONE,
            loss_in_good: Probability::ZERO,
        }),
        reorder: Some(Reorder::Gap { probability: Probability::percent(1.0), frames: 3 }),
        duplicate: Probability::percent(2.0),
        corrupt: Probability::percent(0.1),
        rate: Some(10_000_000),
        queue: QueueLimit::Frames(50),
        mtu: Some(1400),
    };
    assert_eq!(c, ImpairConfig { incoming: i, outgoing: i, seed: 7 });
}

#[test]
fn a_prefix_limits_to_one_direction() {
    let c = parse("in.loss=1%, out.delay=1.5ms, out.rate=1gbit, out.queue=64kib").unwrap();
    assert_eq!((c.incoming.loss, c.outgoing.loss), (Probability::percent(1.0), Probability::ZERO));
    assert_eq!((c.incoming.delay, c.outgoing.delay), (Duration::ZERO, Duration::from_micros(1500)));
    assert_eq!(c.outgoing.queue, QueueLimit::Octets(65_536));
    assert!(parse("").unwrap().is_clean() && !c.is_clean());
}

#[test]
fn errors_name_what_is_wrong_and_what_would_be_right() {
    let wrong = [
        ("lost=1%", "there is no impairment \"lost\": there are delay,"),
        ("up.loss=1%", "there is no impairment \"up.loss\""),
        ("loss=101%", "loss=\"101%\" is not 0% to 100%"),
        ("loss=1", "loss=\"1\" is not 0%"),
        ("loss=-1%", "loss=\"-1%\" is not"),
        ("delay=20", "delay=\"20\" is not a time, as 20ms"),
        ("delay=ms", "is not a time"),
        ("delay=1.ms", "is not a time"),
        ("delay=99999999999999999999s", "is not a time"),
        ("delay=0.5ns", "is not a time"),
        ("rate=10", "is not a rate above zero, as 10mbit"),
        ("rate=0mbit", "is not a rate above zero"),
        ("rate=1mbit,queue=0", "is not a number of frames"),
        ("queue=10", "give rate= too"),
        ("mtu=10", "is not an MTU from 68"),
        ("reorder=1%/0", "is not a probability and how late"),
        ("reorder=1%/", "is not a probability and how late"),
        ("burst-loss=1%", "is not two or four"),
        ("seed=x", "is not a number from 0"),
        ("loss", "\"loss\" has no value"),
        ("loss=1%,loss=2%", "\"loss\" is given twice"),
    ];
    for (text, why) in wrong {
        let e = parse(text).unwrap_err();
        assert!(e.contains(why), "{text}: {e}");
    }
}

fn impairment() -> impl Strategy<Value = Impairment> {
    let p = || prop_oneof![Just(0), 0..=Probability::SCALE].prop_map(Probability);
    let t = || prop_oneof![Just(0), 0u64..100_000_000_000].prop_map(Duration::from_nanos);
    let burst = (p(), p(), p(), p()).prop_map(|(enter, leave, loss_in_bad, loss_in_good)| BurstLoss {
        enter,
        leave,
        loss_in_bad,
        loss_in_good,
    });
    let reorder = prop_oneof![
        (p(), 1u32..).prop_map(|(probability, frames)| Reorder::Gap { probability, frames }),
        (p(), t()).prop_map(|(probability, extra)| Reorder::Delay { probability, extra }),
    ];
    let rate = of((
        1u64..,
        prop_oneof![(1u32..).prop_map(QueueLimit::Frames), (1u32..).prop_map(QueueLimit::Octets)],
    ));
    (t(), t(), p(), of(burst), of(reorder), p(), p(), rate, of(68usize..65_536)).prop_map(
        |(delay, jitter, loss, burst_loss, reorder, duplicate, corrupt, rate, mtu)| Impairment {
            delay,
            jitter,
            loss,
            burst_loss,
            reorder,
            duplicate,
            corrupt,
            rate: rate.map(|r| r.0),
            queue: rate.map_or(QueueLimit::default(), |r| r.1),
            mtu,
        },
    )
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same(incoming in impairment(), outgoing in impairment(), same: bool, seed: u64) {
        let c = ImpairConfig { incoming, outgoing: if same { incoming } else { outgoing }, seed };
        prop_assert_eq!(parse(&c.to_string()), Ok(c), "{}", c);
    }

    #[test]
    fn no_text_panics(text in "[a-z.=%/,0-9-]{0,60}") {
        let _ = parse(&text);
    }
}
