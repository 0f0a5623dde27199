// Passkeys in the city: whose they are, that a challenge serves once, and what they open. What an authenticator may say is tested in WebAuthnTests.
import Authenticator
import City
import Crypto
import Foundation
import HTTPTypes
import Postgres
import Primitives
import Testing
import Web
import WebAuthn

@testable import Identity

@Suite("Passkeys in the city")
struct PasskeyTests {
    private static func device(_ id: UInt8 = 1) -> Authenticator {
        var device = Authenticator(key: .es256(P256.Signing.PrivateKey()), relyingParty: "localhost", origin: "http://localhost:8080")
        device.id = [UInt8](repeating: id, count: 16)
        return device
    }

    /// What a device makes of a challenge for a new passkey.
    private func made(_ device: Authenticator, _ challenge: [UInt8]) -> NewPasskeyAnswer {
        NewPasskeyAnswer(clientData: device.clientData("webauthn.create", challenge), attestation: device.attestation())
    }

    /// What it makes of one for a passkey that it holds, the next time that it is asked.
    private func used(_ device: inout Authenticator, _ challenge: [UInt8]) throws -> PasskeyAnswer {
        device.signCount += 1
        let clientData = device.clientData("webauthn.get", challenge)
        let assertion = try device.assertion(clientData)
        return PasskeyAnswer(passkeyID: device.id, clientData: clientData, authenticatorData: assertion.data, signature: assertion.signature)
    }

    /// - Returns: the session under its new hash.
    private func add(_ device: Authenticator, _ house: Household, _ session: CredentialHash) async throws -> CredentialHash {
        let request = try await house.identity.beginNewPasskey(session)
        return CredentialHash(token: try await house.identity.addPasskey(made(device, request.challenge), session: session))
    }

    private func signIn(_ house: Household, _ answer: PasskeyAnswer) async throws -> CredentialHash {
        CredentialHash(token: try await house.identity.usePasskey(answer, session: nil, isSharedComputer: false))
    }

    @Test("A new passkey needs what every change of factors needs")
    func refusedChange() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let session = try await house.session("ada")
        let early = try await house.identity.beginNewPasskey(session)
        try await house.city.setClock(secondsAhead: 301)
        await #expect(throws: FactorChangeRefusal.passwordNeeded) { _ = try await house.identity.beginNewPasskey(session) }
        await #expect(throws: FactorChangeRefusal.passwordNeeded) {
            _ = try await house.identity.addPasskey(made(Self.device(), early.challenge), session: session)
        }
    }

    @Test("A challenge is answered by the session that it was made for, for what it was made for, within five minutes, once")
    func challenges() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        try await house.resident(.username("eve"))
        let (ada, eve) = (try await house.session("ada"), try await house.session("eve"))
        var device = Self.device()
        let request = try await house.identity.beginNewPasskey(ada)
        await #expect(throws: PasskeyRefused.self) { _ = try await house.identity.addPasskey(made(device, request.challenge), session: eve) }
        await #expect(throws: PasskeyRefused.self) { _ = try await house.identity.addPasskey(made(device, [1, 2, 3]), session: ada) }
        let session = try await add(device, house, ada)

        // Made for a new passkey, or by nobody here.
        let other = try await house.identity.beginNewPasskey(session)
        for challenge in [other.challenge, [UInt8](repeating: 7, count: 32)] {
            let answer = try used(&device, challenge)
            await #expect(throws: PasskeyRefused.self) { _ = try await signIn(house, answer) }
        }
        let late = try used(&device, try await house.identity.beginPasskey(nil))
        try await house.city.setClock(secondsAhead: 301)
        await #expect(throws: PasskeyRefused.self) { _ = try await signIn(house, late) }
        let right = try used(&device, try await house.identity.beginPasskey(nil))
        _ = try await signIn(house, right)
        await #expect(throws: PasskeyRefused.self) { _ = try await signIn(house, right) }
    }

    @Test("Of many who send the same answer at the same moment one comes in")
    func race() async throws {
        let house = try await Household(sharedConnections: 8)
        try await house.resident(.username("ada"))
        var device = Self.device()
        _ = try await add(device, house, try await house.session("ada"))
        let answer = try used(&device, try await house.identity.beginPasskey(nil))
        let successes = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 { group.addTask { (try? await signIn(house, answer)) != nil } }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(successes == 1)
    }

    @Test("A copy whose counter stands behind is refused, and so is a passkey that was removed")
    func copies() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        var device = Self.device()
        let session = try await add(device, house, try await house.session("ada"))
        var copy = device
        for _ in 0..<3 { _ = try await signIn(house, try used(&device, try await house.identity.beginPasskey(nil))) }
        let behind = try used(&copy, try await house.identity.beginPasskey(nil))
        await #expect(throws: PasskeyRefused.self) { _ = try await signIn(house, behind) }
        let factor = try #require(try await house.identity.factors(of: session).first)
        try await house.identity.removeFactor(factor.id, session)
        let gone = try used(&device, try await house.identity.beginPasskey(nil))
        await #expect(throws: PasskeyRefused.self) { _ = try await signIn(house, gone) }
        #expect(try await house.city.owner.one(OneValue("SELECT count(*) FROM identity.factor WHERE public_key IS NOT NULL", of: Int64.self)) == 0)
    }

    @Test("A passkey signs in at level 2 without a name or password; with one, the password alone opens no session")
    func story() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        var device = Self.device()
        let raised = try await add(device, house, try await house.session("ada"))
        #expect(try await house.level(raised) == 2)
        let session = try await signIn(house, try used(&device, try await house.identity.beginPasskey(nil)))
        #expect(try await house.level(session) == 2)
        _ = try await house.half("ada")
        // The page of another device is told of those that are there.
        #expect(try await house.identity.beginNewPasskey(session).known == [device.id])
        await #expect(throws: PasskeyRefused.self) { _ = try await add(device, house, session) }
        #expect(try await house.messages() == ["passkey_added", "welcome"])
    }

    @Test("In a session a passkey counts as password and second factor, and nobody else's does")
    func stepUp() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        try await house.resident(.username("eve"))
        var (ada, eve) = (Self.device(1), Self.device(2))
        let session = try await add(ada, house, try await house.session("ada"))
        _ = try await add(eve, house, try await house.session("eve"))
        for seconds in [600, 1000] {
            try await house.city.setClock(secondsAhead: seconds)
            #expect(try await house.level(session) == 2)
        }
        await #expect(throws: FactorChangeRefusal.secondFactorNeeded) { _ = try await house.identity.makeCodes(.codeSheet, session) }
        let hers = try used(&eve, try await house.identity.beginPasskey(session))
        await #expect(throws: PasskeyRefused.self) { _ = try await house.identity.usePasskey(hers, session: session, isSharedComputer: false) }
        let own = try used(&ada, try await house.identity.beginPasskey(session))
        let token = try await house.identity.usePasskey(own, session: session, isSharedComputer: false)
        #expect(try await house.caller(session) == nil)
        #expect(try await house.identity.makeCodes(.codeSheet, CredentialHash(token: token)).codes.count == 40)
    }

    @Test("Only the pages of passkeys have a script, which is our own")
    func pages() async throws {
        let house = try await Household()
        try await house.serve { client in
            let browser = CityBrowser(client)
            let page = try await browser.get("/sign-in/passkey?next=/messages")
            #expect(page.headers[.contentSecurityPolicy]?.hasPrefix("default-src 'none'; script-src 'self'; style-src 'self';") == true)
            #expect(page.text.matches(of: /<script src="\/assets\/passkey\.[0-9a-f]{16}\.js" defer><\/script>/).count == 1)
            #expect(page.text.contains("Passkeys work only in a browser with scripts"))
            let plain = try await browser.get("/sign-in")
            #expect(plain.headers[.contentSecurityPolicy]?.contains("script-src") == false && !plain.text.contains("<script"))
            _ = try await browser.get("/sign-in/passkey")
            let refused = try await browser.post("/sign-in/passkey", [("client_data", "e30"), ("passkey", "AA"), ("authenticator_data", "AA"), ("signature", "AA")])
            #expect(refused.status == 422 && refused.text.contains("The passkey was not accepted"))
        }
    }
}
