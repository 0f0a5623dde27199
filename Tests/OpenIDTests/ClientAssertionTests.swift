// The pure rules of assertions and keys: what is refused before any database is asked.
import Crypto
import Foundation
import Primitives
import Testing
import Web

@testable import OpenID

private let maker = AssertionMaker(client: "clinic-system")
private let audiences: Set<String> = [issuer, issuer + "/oauth/token"]

private func judge(_ compact: String, now: Date = Date()) throws -> ClientAssertion {
    let assertion = try ClientAssertion(compact: compact)
    try assertion.check(audiences: audiences, now: now)
    return assertion
}

@Suite("Client assertions")
struct ClientAssertionTests {
    @Test("A good assertion is taken, with either audience and either type")
    func good() async throws {
        let keys = try ClientKeys(keySet(maker.publicJWK))
        for (header, claims) in [
            ([:], [:]), ([:], ["aud": .string(issuer + "/oauth/token")]), (["typ": nil], [:]), (["typ": "client-authentication+jwt"], ["iat": nil]),
            (["kid": nil], ["nbf": .integer(1)]), ([:], ["exp": .number("\(Int(Date().timeIntervalSince1970) + 3_600).5")]),
        ] as [(Changes, Changes)] {
            guard let assertion = try? judge(maker.assertion(header: header, claims: claims)) else {
                Issue.record("refused: \(header) \(claims)")
                continue
            }
            #expect(await keys.signed(assertion))
        }
    }

    @Test("Headers that would let the sender choose how it is checked are refused")
    func headers() throws {
        for header: Changes in [
            ["alg": "none"], ["alg": "HS256"], ["alg": "ES384"], ["alg": "es256"], ["alg": 256], ["alg": nil], ["crit": ["exp"]], ["crit": []],
            ["crit": ["b64"], "b64": false], ["jwk": maker.publicJWK], ["jku": "https://evil.example/keys"], ["x5u": "https://evil.example"],
            ["x5c": ["AAAA"]], ["typ": "at+jwt"], ["typ": "dpop+jwt"], ["typ": 1], ["kid": .string(String(repeating: "k", count: 201))],
        ] {
            #expect(throws: AssertionRefusal.self, "\(header)") { try judge(maker.assertion(header: header)) }
        }
    }

    @Test("Claims that do not hold are refused")
    func claims() throws {
        let now = Int64(Date().timeIntervalSince1970)
        for claims: Changes in [
            ["iss": nil], ["sub": nil], ["aud": nil], ["exp": nil], ["jti": nil], ["iss": "bank-system"], ["sub": "bank-system"], ["iss": 1],
            ["aud": .array([.string(issuer)])], ["aud": .array([.string(issuer), "https://evil.example"])], ["aud": "https://evil.example"],
            ["aud": .string(issuer + "/")], ["aud": .string(issuer + ".evil.example")], ["aud": "HTTP://LOCALHOST:8080"], ["exp": .integer(now - 61)],
            ["exp": .integer(now + 3_700)], ["exp": .integer(now + 365 * 86_400)], ["exp": .number("1e400")], ["exp": "soon"], ["exp": .null],
            ["iat": .integer(now + 120)], ["iat": .integer(now + 50), "exp": .integer(now + 40)], ["nbf": .integer(now + 3_600)], ["jti": ""],
            ["jti": .string(String(repeating: "j", count: 201))], ["jti": 7],
        ] {
            #expect(throws: AssertionRefusal.self, "\(claims)") { try judge(maker.assertion(claims: claims)) }
        }
    }

    @Test("An assertion stands until its time and the clocks' difference have passed, and is remembered as long")
    func time() throws {
        let start = Date(timeIntervalSince1970: 1_800_000_000)
        let compact = try maker.assertion(claims: ["iat": .integer(1_800_000_000), "exp": .integer(1_800_000_060)])
        #expect(throws: Never.self) { try judge(compact, now: start - 59) }
        #expect(throws: Never.self) { try judge(compact, now: start + 119) }
        #expect(throws: AssertionRefusal.self) { try judge(compact, now: start + 120) }
        #expect(try ClientAssertion(compact: compact).rememberedUntil == start + 120)
    }

    @Test("What is not three parts of canonical base64url JSON without duplicate names is refused")
    func shape() throws {
        let good = try maker.assertion()
        let parts = good.split(separator: ".").map(String.init)
        let header = Array(#"{"alg":"ES256","alg":"none"}"#.utf8)
        let claims = try #require(Base64URL.decode(parts[1]))
        for bad in [
            "", ".", "..", "a.b.c", "é.é.é", parts[0] + "." + parts[1], parts[0] + "." + parts[1] + ".", good + ".", good + ".AAAA", " " + good,
            good + "=", parts[0] + "=." + parts[1] + "." + parts[2], String(repeating: "x", count: 20_000),
            try maker.compact(header: header, claims: claims, signer: .es256(maker.key)),
            try maker.compact(header: Array("[]".utf8), claims: claims, signer: .es256(maker.key)),
            try maker.compact(header: Array(#"{"alg":"ES256"} x"#.utf8), claims: claims, signer: .es256(maker.key)),
        ] {
            #expect(throws: AssertionRefusal.self, "\(bad.prefix(60))") { try ClientAssertion(compact: bad) }
        }
    }
}

@Suite("Client keys")
struct ClientKeyTests {
    @Test("Only the registered key that the header names is tried; without a name each is")
    func choice() async throws {
        let second = AssertionMaker(client: "clinic-system", keyID: "key-2")
        let keys = try ClientKeys(keySet(maker.publicJWK, second.publicJWK))
        #expect(await keys.signed(try ClientAssertion(compact: maker.assertion())))
        #expect(await keys.signed(try ClientAssertion(compact: second.assertion())))
        #expect(await keys.signed(try ClientAssertion(compact: second.assertion(header: ["kid": nil]))))
        #expect(await !keys.signed(try ClientAssertion(compact: second.assertion(header: ["kid": "key-1"]))))
        #expect(await !keys.signed(try ClientAssertion(compact: second.assertion(header: ["kid": "key-3"]))))
        let stranger = AssertionMaker(client: "clinic-system")
        #expect(await !keys.signed(try ClientAssertion(compact: stranger.assertion())))
        #expect(await !keys.signed(try ClientAssertion(compact: stranger.assertion(header: ["kid": nil]))))
    }

    @Test("A key answers to its own algorithm only, and a changed byte breaks the signature")
    func algorithms() async throws {
        let ed = Curve25519.Signing.PrivateKey()
        let edJWK: JSONValue = ["kty": "OKP", "crv": "Ed25519", "x": .string(Base64URL.encode(Array(ed.publicKey.rawRepresentation))), "kid": "key-1"]
        let keys = try ClientKeys(keySet(edJWK))
        #expect(await keys.signed(try ClientAssertion(compact: maker.assertion(signedBy: .edDSA(ed)))))
        #expect(await keys.signed(try ClientAssertion(compact: maker.assertion(header: ["alg": "Ed25519"], signedBy: .edDSA(ed)))))
        #expect(await !keys.signed(try ClientAssertion(compact: maker.assertion(header: ["alg": "ES256"], signedBy: .edDSA(ed)))))
        #expect(await !keys.signed(try ClientAssertion(compact: maker.assertion())))
        let rsa = try ClientKeys(keySet(TestRSAKey.publicJWK))
        #expect(await rsa.signed(try ClientAssertion(compact: await TestRSAKey.assertion(client: "clinic-system"))))

        let parts = try maker.assertion().split(separator: ".")
        var signature = try #require(Base64URL.decode(String(parts[2])))
        let es256 = try ClientKeys(keySet(maker.publicJWK))
        for position in [0, 31, 32, 63] {
            signature[position] ^= 1
            let changed = "\(parts[0]).\(parts[1])." + Base64URL.encode(signature)
            #expect(await !es256.signed(try ClientAssertion(compact: changed)))
            signature[position] ^= 1
        }
        // r = s = 0 passed where the ranges were not checked (CVE-2022-21449).
        let zero = "\(parts[0]).\(parts[1])." + Base64URL.encode([UInt8](repeating: 0, count: 64))
        #expect(await !es256.signed(try ClientAssertion(compact: zero)))
    }

    @Test("Private, weak, foreign and malformed keys cannot be registered")
    func registration() {
        func with(_ name: String, _ value: JSONValue?, of jwk: JSONValue) -> JSONValue {
            guard case .object(let members) = jwk else { return jwk }
            return .object(members.filter { $0.name != name } + (value.map { [JSONMember(name, $0)] } ?? []))
        }
        let good = maker.publicJWK
        #expect(throws: Never.self) { try ClientKeys(keySet(good)) }
        for bad: JSONValue in [
            with("d", "AAAA", of: good), with("k", "AAAA", of: good), with("use", "enc", of: good), with("alg", "RS256", of: good),
            with("crv", "P-384", of: good), with("kty", "oct", of: good), with("x", nil, of: good), with("x", "AAAA", of: good),
            with("y", good["x"], of: good), with("kid", "", of: good), with("e", "AQ", of: TestRSAKey.publicJWK),
            with("n", .string(String(TestRSAKey.modulus.prefix(171))), of: TestRSAKey.publicJWK), .string("key"), .null,
        ] {
            #expect(throws: KeyRefusal.self, "\(bad)") { try ClientKeys(keySet(bad)) }
        }
        for bad in ["", "{}", "[]", #"{"keys":{}}"#, keySet(), keySet(good, good)] {
            #expect(throws: KeyRefusal.self, "\(bad)") { try ClientKeys(bad) }
        }
    }

    @Test("A new pair fits together: the private half signs what the public one checks")
    func newPair() async throws {
        let pair = ClientKeyPair()
        let jwk = try JSONScanner.scan(Array(pair.privateJWK.reveal().utf8))
        let scalar = try #require(jwk["d"]?.text.flatMap { Base64URL.decode($0) })
        let made = AssertionMaker(client: "new", keyID: pair.keyID, key: try P256.Signing.PrivateKey(rawRepresentation: scalar))
        let publicKey = try JSONScanner.scan(Array(pair.publicJWK.utf8))
        #expect(publicKey["d"] == nil)
        #expect(try await ClientKeys(keySet(publicKey)).signed(try ClientAssertion(compact: made.assertion())))
        #expect("\(pair)".contains("[redacted]"))
        #expect(!"\(pair)".contains(try #require(jwk["d"]?.text)))
    }
}
