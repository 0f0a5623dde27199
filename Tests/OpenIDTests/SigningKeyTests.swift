// The provider's keys: made when due, published before they sign and while what they signed lives, useless without the city's key.
import City
import Foundation
import Postgres
import Primitives
import Register
import Testing
import Web

@testable import OpenID

@Suite("Signing keys")
struct SigningKeyTests {
    private func keyIDs(_ keys: SigningKeys) async throws -> [String] {
        guard case .array(let list)? = try await keys.keySet()["keys"] else { return [] }
        return list.compactMap { $0["kid"]?.text }
    }

    @Test("A key signs for thirty days; its successor is published a day before it signs, and the old one a day after")
    func rotation() async throws {
        let city = try await CityFixture.make()
        let keys = SigningKeys(database: city.app, vault: city.vault)
        let day = 86_400
        struct Moment: Equatable {
            let signing: String
            let published: Int
        }
        func at(_ seconds: Int) async throws -> Moment {
            try await city.setClock(secondsAhead: seconds)
            try await keys.rotate()
            return Moment(signing: try await keys.current(.es256).keyID, published: try await keyIDs(keys).count)
        }
        let first = try await at(0)
        #expect(first.published == 3, "one of each algorithm")
        #expect(try await at(28 * day) == first)
        let announced = try await at(29 * day + 60)
        #expect(announced.signing == first.signing && announced.published == 6)
        let second = try await at(30 * day + 120)
        #expect(second.signing != first.signing && second.published == 6)
        let later = try await at(31 * day + 180)
        #expect(later.signing == second.signing && later.published == 3)
        // After half a year in which nobody ran it.
        let late = try await at(200 * day)
        #expect(late.signing == second.signing && late.published == 6)
        #expect(try await at(201 * day + 60).signing != second.signing)
    }

    @Test("Of nodes that make a key at the same moment one succeeds, and all sign with it")
    func parallel() async throws {
        let city = try await CityFixture.make()
        let nodes = (0..<6).map { _ in SigningKeys(database: city.app, vault: city.vault) }
        let used = try await withThrowingTaskGroup(of: String.self) { group in
            for node in nodes { group.addTask { try await node.current(.es256).keyID } }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(used.count == 1)
        #expect(try await city.owner.one(OneValue("SELECT count(*) FROM openid.signing_key", of: Int64.self)) == 1)
    }

    @Test("The stored key opens under no other key-encryption key; what is published holds no private half")
    func atRest() async throws {
        let city = try await CityFixture.make()
        let key = try await SigningKeys(database: city.app, vault: city.vault).current(.es256)
        let elsewhere = SigningKeys(database: city.app, vault: ResidentVault(keyEncryptionKey: [UInt8](repeating: 8, count: 32)))
        await #expect(throws: VaultError.self) { try await elsewhere.current(.es256) }
        let row = try await city.owner.one(OneValue("SELECT k::text FROM openid.signing_key AS k", of: String.self))
        #expect(!row.contains(key.privateBytes.map { String(format: "%02x", $0) }.joined()))
        for member in ["d", "p", "q", "k"] { #expect(key.publicJWK[member] == nil) }
    }

    @Test("Old and new clients check what is signed for them with RS256, EdDSA and ES256", arguments: ["RS256", "EdDSA", "ES256"])
    func algorithms(_ algorithm: String) async throws {
        try await ServiceTown.serve { story, client in
            try await story.city.owner.execute("UPDATE openid.client SET id_token_algorithm = \(algorithm) WHERE id = 'clinic-web'")
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let (header, claims) = try await verified(try await story.service.tokens(browser, client).idToken, client)
            #expect(header["alg"]?.text == algorithm)
            let half = try #require(claims["at_hash"]?.text)
            #expect(Base64URL.decode(half)?.count == (algorithm == "EdDSA" ? 32 : 16))
        }
    }

    @Test("The thumbprint that names a key is that of RFC 7638's example")
    func thumbprint() {
        let modulus =
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
        #expect(JWKThumbprint.text(of: [JSONMember("e", "AQAB"), JSONMember("kty", "RSA"), JSONMember("n", .string(modulus))]) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
    }
}
