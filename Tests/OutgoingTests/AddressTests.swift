// Where a post may lead: no address that only this network reaches, in no disguise.
import Outgoing
import Testing

@Suite("Addresses of posts")
struct AddressTests {
    @Test(
        "Addresses that only this network reaches are not public, in no disguise", arguments: [
            "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.255.255", "192.168.1.1", "192.0.2.1", "198.18.0.1", "198.51.100.7",
            "203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "fc00::1", "fd12::1",
            "fe80::1", "ff02::1", "2001:db8::1", "2001::1", "2002:7f00:1::", "100::1", "3fff::1",
        ])
    func notPublic(_ text: String) throws {
        let address = try #require(HostAddress(text))
        #expect(!address.isPublic)
    }

    @Test("Everybody's addresses are public", arguments: ["8.8.8.8", "100.63.255.255", "172.32.0.1", "192.0.1.1", "1.1.1.1", "2a00:1450::1", "2606:4700::1111"])
    func isPublic(_ text: String) throws {
        let address = try #require(HostAddress(text))
        #expect(address.isPublic)
    }

    @Test("Loopback is for the demo city and for tests; plain http leads nowhere else")
    func loopback() throws {
        let (city, demo) = (GuardedPost(permitsLoopback: false), GuardedPost(permitsLoopback: true))
        let (here, there, inside) = (try #require(HostAddress("::1")), try #require(HostAddress("8.8.8.8")), try #require(HostAddress("10.0.0.1")))
        for securely in [true, false] {
            #expect(!city.mayConnect(to: here, securely: securely) && demo.mayConnect(to: here, securely: securely))
            #expect(!city.mayConnect(to: inside, securely: securely) && !demo.mayConnect(to: inside, securely: securely))
            #expect(city.mayConnect(to: there, securely: securely) == securely && demo.mayConnect(to: there, securely: securely) == securely)
        }
    }
}
