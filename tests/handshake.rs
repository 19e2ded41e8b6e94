//! Handshakes (RFC 9293 sections 3.5 and 3.10.7).

mod bed;
use bed::*;

#[test]
fn passive_and_active() {
    let mut d = Dialogue::new(Setup::default());
    d.listen();
    d.rx("S 0 win 65535 <mss 1000>");
    d.tx("S. 0 ack 1 <mss 1460>");
    d.rx(". 1 ack 1");
    d.accept();
    assert_eq!(d.state(), State::Established);
    d.send(1500);
    d.tx(". 1:1001(1000) ack 1");
    d.tx("P. 1001:1501(500) ack 1");

    let mut d = Dialogue::new(Setup::default());
    d.connect();
    d.tx("S 0 win 65535 <mss 1460,sackOK,TS,nop,wscale 7>");
    d.rx("S. 0 ack 1 <mss 1000>");
    d.tx(". 1 ack 1 <>");
}
