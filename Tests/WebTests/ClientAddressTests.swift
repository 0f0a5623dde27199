// Whom limits on guessing count a request to: nobody can put it on somebody else, and nobody can shed it by writing a header.
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Testing

@testable import Web

@Suite struct ClientAddressTests {
    private func client(_ peer: String, _ forwardedFor: [String], trusting proxies: TrustedProxies) throws -> String {
        proxies.client(peer: try #require(NetworkAddress(peer)), forwardedFor: forwardedFor).countedAs
    }

    @Test func aHeaderFromAnybodyIsNotBelieved() throws {
        #expect(try client("203.0.113.9", ["192.0.2.1"], trusting: .none) == "203.0.113.9")
        let proxies = try #require(TrustedProxies("10.0.0.1"))
        #expect(try client("203.0.113.9", ["192.0.2.1"], trusting: proxies) == "203.0.113.9")
    }

    @Test(arguments: [
        (["192.0.2.1"], "192.0.2.1"), (["198.51.100.7, 192.0.2.1"], "192.0.2.1"), (["198.51.100.7", "192.0.2.1, 10.1.2.3"], "192.0.2.1"),
        // A port is left away.
        (["192.0.2.1:4711"], "192.0.2.1"), (["[2001:db8:1:2::3]:4711"], "32.1.13.184.0.1.0.2"),
        // What cannot be read ends the list: the proxy that wrote it is all that is known.
        (["192.0.2.1, unknown"], "10.0.0.1"), (["192.0.2.1, unknown, 10.1.2.3"], "10.1.2.3"), ([""], "10.0.0.1"), ([], "10.0.0.1"),
        // Everybody is a proxy of ours: a request from inside.
        (["10.1.2.4, 10.1.2.3"], "10.1.2.4"),
    ])
    func behindProxiesTheRightMostStrangerCounts(header: [String], expected: String) throws {
        let proxies = try #require(TrustedProxies("10.0.0.1, 10.1.0.0/16, ::1"))
        #expect(try client("10.0.0.1", header, trusting: proxies) == expected)
    }

    @Test func oneAddressHasOneFormAndIPv6CountsByItsNetwork() throws {
        #expect(NetworkAddress("::ffff:192.0.2.1") == NetworkAddress("192.0.2.1"))
        #expect(NetworkAddress("2001:DB8::1")?.countedAs == NetworkAddress("2001:db8:0:0:ffff::2")?.countedAs)
        #expect(NetworkAddress("2001:db8::1")?.countedAs != NetworkAddress("2001:db8:0:1::1")?.countedAs)
        let proxies = try #require(TrustedProxies("192.0.2.0/25"))
        #expect(try client("::ffff:192.0.2.127", ["203.0.113.9"], trusting: proxies) == "203.0.113.9")
        #expect(try client("192.0.2.128", ["203.0.113.9"], trusting: proxies) == "192.0.2.128")
    }

    @Test(arguments: ["", "proxy.example", "10.0.0.1,", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "::/129", "10.0.0.1:80", "10.0.0.1 10.0.0.2"])
    func listsThatMakeNoSenseAreRefused(list: String) {
        #expect(TrustedProxies(list) == nil)
    }

    @Test func theConnectionsAddressReachesTheHandlerAndNotTheLog() async throws {
        for (proxies, expected) in [("192.0.2.1", "127.0.0.1"), ("127.0.0.1", "203.0.113.9")] {
            let log = LogLines()
            var configuration = try sampleConfiguration(log: log)
            configuration.trustedProxies = try #require(TrustedProxies(proxies))
            let site = try sampleSite(configuration)
            site.everyone.get("/whose") { _, context in try context.page(HelloPage(greeting: context.clientAddress), title: "sample.title") }
            let application = try WebApplication.build(site: site, logger: quietLogger)
            try await application.test(.live) { client in
                let headers: HTTPFields = [.xForwardedFor: "198.51.100.7, 203.0.113.9"]
                try await client.execute(uri: "/whose", method: .get, headers: headers) { response in
                    #expect(response.text.contains(">\(expected)<"))
                }
            }
            #expect(!log.all.isEmpty)
            #expect(log.all.allSatisfy { !$0.contains("127.0.0.1") && !$0.contains("203.0.113.9") })
        }
    }
}
