# Sends by Net::SMPP what standard input lists, waits for every receipt, and prints what it saw as JSON.
use strict;
use warnings;
use Encode;
use JSON::PP;
use Net::SMPP;

my $order = decode_json(do { local $/; <STDIN> });
my @messages = @{ $order->{messages} };
my $smpp = Net::SMPP->new_transceiver('127.0.0.1', port => $order->{port}, system_id => $order->{system_id},
    password => $order->{password}, async => 0) or die "bind: $!";

# Encode's own GSM 03.38 and UTF-16, and the sar_ parameters for what is longer than one message.
sub pieces {
    my ($text) = @_;
    my $copy = $text;
    my $octets = eval { encode('gsm0338', $copy, Encode::FB_CROAK) };
    my ($coding, $room, $part) = (0, 160, 152);
    if (!defined $octets || decode('gsm0338', $octets) ne $text) {
        ($coding, $room, $part) = (8, 140, 132);
        $octets = encode('UTF-16BE', $text);
    }
    return ($coding, $octets) if length $octets <= $room;
    my @cut;
    while (length $octets) {
        my $size = $part;
        if ($size < length $octets) {
            $size -= 1 if $coding == 0 && substr($octets, $size - 1, 1) eq "\x1b";
            my $unit = unpack 'n', substr($octets, $size - 2, 2);
            $size -= 2 if $coding == 8 && $unit >= 0xD800 && $unit <= 0xDBFF;
        }
        push @cut, substr($octets, 0, $size, '');
    }
    return ($coding, @cut);
}

my @queue;
for my $number (0 .. $#messages) {
    my ($coding, @cut) = pieces($messages[$number]{text});
    for my $part (0 .. $#cut) {
        push @queue, [$number, $coding, $cut[$part], $part + 1, scalar @cut];
    }
}
my (@accepted, %pending, %wanted, %receipts);
while (@queue || %pending || grep { !exists $receipts{$_} } keys %wanted) {
    while (@queue && keys %pending < 20) {
        my ($number, $coding, $octets, $part, $total) = @{ shift @queue };
        my @sar = $total > 1 ? (sar_msg_ref_num => pack('n', $number), sar_total_segments => pack('C', $total),
            sar_segment_seqnum => pack('C', $part)) : ();
        my $sequence = $smpp->submit_sm(async => 1, source_addr_ton => 5, source_addr_npi => 0, source_addr => 'Perl',
            dest_addr_ton => 1, dest_addr_npi => 1, destination_addr => $messages[$number]{to},
            data_coding => $coding, registered_delivery => 1, short_message => $octets, @sar);
        die "submit: $!" unless $sequence;
        $pending{$sequence} = $number;
    }
    my $pdu = $smpp->read_pdu() or die "read: $!";
    if ($pdu->{cmd} == 0x80000004) {
        my $number = delete $pending{ $pdu->{seq} };
        die "refused with status $pdu->{status}" if $pdu->{status};
        push @{ $accepted[$number] }, $pdu->{message_id};
        $wanted{ $pdu->{message_id} } = 1;
    }
    elsif ($pdu->{cmd} == 5) {
        (my $id = $pdu->{receipted_message_id}) =~ s/\0//g;
        $receipts{$id} = { state => unpack('C', $pdu->{message_state}), text => $pdu->{short_message} };
        $smpp->deliver_sm_resp(seq => $pdu->{seq}, message_id => '');
    }
    elsif ($pdu->{cmd} == 0x15) { $smpp->enquire_link_resp(seq => $pdu->{seq}) }
}
$smpp->unbind();
print encode_json({ accepted => \@accepted, receipts => \%receipts }), "\n";
