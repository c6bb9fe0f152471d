#!/usr/bin/perl
# A small web service for the tour: answers every request with who and where it is, and counts them in /data.
use strict;
use warnings;
use IO::Socket::IP;

$SIG{TERM} = sub { exit 0 };
my %port = (LocalPort => 8080, Listen => 16, ReuseAddr => 1);
# Both families at one socket; IPv4 alone where the kernel has no IPv6.
my $server = IO::Socket::IP->new(%port, LocalHost => '::', V6Only => 0)
    || IO::Socket::IP->new(%port, LocalHost => '0.0.0.0')
    or die "listen: $!";
$| = 1;
print "listening on port 8080\n";
while (my $client = $server->accept) {
    while (my $line = <$client>) { last if $line =~ /^\r?\n$/ }
    my $count = 0;
    if (open my $in, '<', '/data/count') { $count = <$in> // 0; close $in }
    $count++;
    if (open my $out, '>', '/data/count') { print $out $count; close $out }
    my $name = $ENV{GREETING} // 'hello';
    my $body = "$name from $ENV{PLINTH_CONTAINER_NAME}, request $count\n";
    print $client "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    close $client;
}
