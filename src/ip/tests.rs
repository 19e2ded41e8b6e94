//! Tests of the IP layer: dialogues between an [`Ip`] and the frames of a test, in virtual time.

mod bed;
mod extensions;
mod fragments;
mod hostile;
mod icmp;
mod neighbours;
mod output;
mod packets;
mod routes;
