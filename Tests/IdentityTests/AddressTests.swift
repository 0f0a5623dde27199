// Addresses of an account: proven by a code in the same browser, told to nobody, and only then a name to sign in with. Refusals and races first.
import City
import Delivery
import Foundation
import HTTPTypes
import HummingbirdTesting
import Logging
import Messages
import Postgres
import Primitives
import Register
import TestSupport
import Testing
import Web

@testable import Identity

/// Everybody's mailbox and telephone.
private actor Inbox: EmailAdapter, ShortMessageAdapter {
    private var received: [(to: String, text: String)] = []

    func send(_ message: EmailMessage) -> SendOutcome {
        received.append((message.to.text, message.subject + "\n" + message.text))
        return .sent("status 250")
    }

    func send(_ message: ShortMessage, to number: PhoneNumber, id: OutgoingID) -> SendOutcome {
        received.append((number.text, message.text))
        return .sent("status 200")
    }

    func texts(to address: String) -> [String] { received.filter { $0.to == address }.map(\.text) }
    var all: [(to: String, text: String)] { received }
}

/// A city whose messages are delivered when a test says so.
private struct Town {
    let city: CityFixture
    let addresses: Addresses
    let inbox = Inbox()
    private let delivery: OutgoingDelivery

    static let cheap = PasswordCost(memoryKibibytes: 64, passes: 1, lanes: 1)

    init() async throws {
        city = try await CityFixture.make()
        addresses = Addresses(database: city.app, vault: city.vault, lookup: city.lookup)
        var catalogues: [Language: Catalogue] = [:]
        for language in Language.allCases {
            catalogues[language] = try Catalogue(language: language, directory: TestCluster.projectRoot.path + "/config/locales/\(language.tag)")
        }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        delivery = OutgoingDelivery(
            database: city.app, vault: city.vault, texts: try OutgoingTexts(catalogues: catalogues, city: "Marisport", baseURL: try BaseURL("https://stoa.example")),
            email: inbox, shortMessages: inbox, logger: logger)
    }

    var identity: IdentityService {
        get throws {
            IdentityService(
                database: city.app, passwords: try PasswordHasher(cost: Self.cheap), vault: city.vault, lookup: city.lookup,
                settings: IdentitySettings(baseURL: try BaseURL("https://stoa.example")))
        }
    }

    func deliver() async throws { while try await delivery.deliverOnce() > 0 {} }

    /// The newest code that came to an address.
    func code(to address: String) async throws -> String? {
        try await deliver()
        return await inbox.texts(to: address).compactMap { $0.firstMatch(of: /[0-9]{4} [0-9]{4}/).map { String($0.0) } }.last
    }

    func typed(_ text: String) throws -> TypedAddress { try #require(SignInName.any(text).flatMap { TypedAddress($0) }) }

    func add(_ text: String, to resident: FixtureResident, session: FixtureCredential? = nil) async throws -> (outcome: AddAddressOutcome, address: Address?) {
        let session = session ?? resident.session
        let (outcome, id) = try await addresses.add(try typed(text), session: session.hash, language: .english)
        return (outcome, try await addresses.all(of: session.hash).first { $0.id == id })
    }

    /// Adds an address and proves it.
    @discardableResult
    func prove(_ text: String, of resident: FixtureResident) async throws -> Address {
        let (outcome, address) = try await add(text, to: resident)
        let (added, code) = (try #require(address), try #require(try await code(to: text)))
        #expect(outcome == .sent)
        #expect(try await addresses.verify(added, typed: code, session: resident.session.hash) == .verified)
        return added
    }

    func serve(_ body: @Sendable (any TestClientProtocol) async throws -> Void) async throws {
        let identity = try identity
        let rules = try PasswordRules(rootDirectory: TestCluster.projectRoot.path)
        try await city.serve({
            IdentityRoutes(identity: identity, passwordRules: rules, database: city.app).add(to: $0)
            ContactRoutes(addresses: addresses, database: city.app).add(to: $0)
        }, body)
    }
}

@Suite("Addresses")
struct AddressTests {
    @Test("A wrong code counts, also when many come at once: after five the right one is worth nothing, and a new one is")
    func guesses() async throws {
        let town = try await Town()
        let ada = try await town.city.resident()
        let address = try #require(try await town.add("ada@example.org", to: ada).address)
        let code = try #require(try await town.code(to: "ada@example.org"))
        let wrong = code.hasPrefix("0") ? "1234 5678" : "0000 0000"
        let outcomes = try await withThrowingTaskGroup(of: VerifyAddressOutcome.self) { group in
            for _ in 0..<20 { group.addTask { try await town.addresses.verify(address, typed: wrong, session: ada.session.hash) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.filter { $0 != .ended }.count == 4, "four wrong ones with tries left, and the fifth ended it")
        #expect(try await town.addresses.verify(address, typed: code, session: ada.session.hash) == .ended)
        #expect(try await town.addresses.all(of: ada.session.hash).allSatisfy { $0.verifiedAt == nil && $0.codeUntil == nil })
        #expect(try await town.addresses.sendAgain(address, session: ada.session.hash, language: .english) == .sent)
        let second = try #require(try await town.code(to: "ada@example.org"))
        #expect(second != code)
        #expect(try await town.addresses.verify(address, typed: second, session: ada.session.hash) == .verified)
    }

    @Test("The right code counts once, however many times it is sent at the same moment")
    func once() async throws {
        let town = try await Town()
        let ada = try await town.city.resident()
        let address = try #require(try await town.add("+254712345678", to: ada).address)
        let code = try #require(try await town.code(to: "+254712345678"))
        let outcomes = try await withThrowingTaskGroup(of: VerifyAddressOutcome.self) { group in
            for _ in 0..<8 { group.addTask { try await town.addresses.verify(address, typed: code, session: ada.session.hash) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.filter { $0 == .verified }.count == 1 && outcomes.filter { $0 == .ended }.count == 7)
    }

    @Test("A code counts in the browser that asked for it, for ten minutes, for its own address, and for no other account")
    func bound() async throws {
        let town = try await Town()
        let (ada, eve) = (try await town.city.resident(), try await town.city.resident())
        let address = try #require(try await town.add("ada@example.org", to: ada).address)
        let code = try #require(try await town.code(to: "ada@example.org"))
        let elsewhere = try await town.city.session(of: ada.accountID)
        #expect(try await town.addresses.verify(address, typed: code, session: elsewhere.hash) == .ended)
        #expect(try await town.addresses.verify(address, typed: code, session: eve.session.hash) == .ended)
        let phone = try #require(try await town.add("+254712345678", to: ada).address)
        #expect(try await town.addresses.verify(phone, typed: code, session: ada.session.hash) == .wrong(triesLeft: 4))
        for typed in ["", "1234", "1234 56789", "abcd efgh", "1234 567x"] {
            #expect(try await town.addresses.verify(address, typed: typed, session: ada.session.hash) == .malformed)
        }
        try await town.city.setClock(secondsAhead: 601)
        #expect(try await town.addresses.verify(address, typed: code, session: ada.session.hash) == .ended)
    }

    @Test("A code outlives a change of what the session may do, which gives it another secret")
    func rotation() async throws {
        let town = try await Town()
        let ada = try await town.city.resident()
        let address = try #require(try await town.add("ada@example.org", to: ada).address)
        let code = try #require(try await town.code(to: "ada@example.org"))
        let raised = CredentialHash(token: SessionCookie.newToken())
        try await town.city.owner.execute("UPDATE web.credential SET hash = \(raised.bytes) WHERE hash = \(ada.session.hash.bytes)")
        #expect(try await town.addresses.verify(address, typed: code, session: ada.session.hash) == .credentialInvalid)
        #expect(try await town.addresses.verify(address, typed: code, session: raised) == .verified)
    }

    @Test("The first session of an account opens once, at once, and only with the password that was chosen")
    func firstSession() async throws {
        let town = try await Town()
        let identity = try town.identity
        let account = try await identity.register(
            Registration(names: [try #require(SignInName.any("ada@example.org"))], password: Redacted("four plain words"), language: .english))
        let forged = RegisteredAccount(accountID: account.accountID, residentID: account.residentID, publicCode: account.publicCode, passwordHash: "$argon2id$other")
        await #expect(throws: SignInError.wrongNameOrPassword) { try await identity.openSession(of: forged, isSharedComputer: false) }
        let opened = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 { group.addTask { (try? await identity.openSession(of: account, isSharedComputer: false)) != nil } }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(opened == 1)
        let late = try await identity.register(Registration(names: [], password: Redacted("four plain words"), language: .english))
        try await town.city.setClock(secondsAhead: 61)
        await #expect(throws: SignInError.wrongNameOrPassword) { try await identity.openSession(of: late, isSharedComputer: false) }
    }

    @Test("Another account's address is never told as such: the same answer, no code, and its owner hears of it once a day")
    func inUse() async throws {
        let town = try await Town()
        let (ada, eve) = (try await town.city.resident(), try await town.city.resident())
        try await town.prove("ada@example.org", of: ada)
        let before = await town.inbox.texts(to: "ada@example.org").count
        let (outcome, address) = try await town.add("ada@example.org", to: eve)
        #expect(outcome == .sent && address?.codeUntil != nil && address?.verifiedAt == nil)
        try await town.deliver()
        let told = await town.inbox.texts(to: "ada@example.org").dropFirst(before)
        #expect(told.count == 1 && told.allSatisfy { $0.contains("another account") && $0.firstMatch(of: /[0-9]{4} [0-9]{4}/) == nil })
        #expect(try await town.addresses.verify(try #require(address), typed: "0000 0000", session: eve.session.hash) == .wrong(triesLeft: 4))
        #expect(try await town.add("ada@example.org", to: eve).outcome == .sent)
        try await town.deliver()
        #expect(await town.inbox.texts(to: "ada@example.org").count == before + 1)
        // The pages say the same of an address that nobody has.
        try await town.serve { client in
            let browser = CityBrowser(client, session: eve.session)
            var pages: [String] = []
            for name in ["ada@example.org", "abc@example.org"] {
                _ = try await browser.get("/contact/addresses/new")
                let answer = try await browser.post("/contact/addresses", [("email", name)])
                #expect(answer.status == 303)
                let page = try await browser.get(try #require(answer.headers[.location])).text
                pages.append(page.replacingOccurrences(of: name, with: "").replacing(/[0-9a-f-]{36}|value="[^"]{20,}"|[0-9]{2}:[0-9]{2}/, with: ""))
            }
            #expect(pages[0] == pages[1])
        }
    }

    @Test("Of two accounts that wait for the same address, the first to type its code has it, and the other's code ends")
    func raceForAnAddress() async throws {
        let town = try await Town()
        let (ada, eve) = (try await town.city.resident(), try await town.city.resident())
        let first = try #require(try await town.add("shared@example.org", to: ada).address)
        let firstCode = try #require(try await town.code(to: "shared@example.org"))
        let second = try #require(try await town.add("shared@example.org", to: eve).address)
        let secondCode = try #require(try await town.code(to: "shared@example.org"))
        let outcomes = try await withThrowingTaskGroup(of: VerifyAddressOutcome.self) { group in
            group.addTask { try await town.addresses.verify(first, typed: firstCode, session: ada.session.hash) }
            group.addTask { try await town.addresses.verify(second, typed: secondCode, session: eve.session.hash) }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.filter { $0 == .verified }.count == 1 && outcomes.filter { $0 == .ended }.count == 1)
        #expect(try await town.city.owner.one(OneValue("SELECT count(*) FROM identity.sign_in_name", of: Int64.self)) == 1)
    }

    @Test("Nobody is flooded through us: five codes an hour to an address, whoever asks, and five by an account, also all at once")
    func limits() async throws {
        let town = try await Town()
        let residents = try await withThrowingTaskGroup(of: FixtureResident.self) { group in
            for _ in 0..<8 { group.addTask { try await town.city.resident() } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        let outcomes = try await withThrowingTaskGroup(of: AddAddressOutcome.self) { group in
            for resident in residents { group.addTask { try await town.add("victim@example.org", to: resident).outcome } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.filter { $0 == .sent }.count == 5 && outcomes.filter { $0 == .tooManyCodes }.count == 3)
        try await town.deliver()
        #expect(await town.inbox.texts(to: "victim@example.org").count == 5)

        let eve = try await town.city.resident()
        for number in 0..<5 { #expect(try await town.add("a\(number)@example.org", to: eve).outcome == .sent) }
        #expect(try await town.add("a5@example.org", to: eve).outcome == .tooManyCodes)
        try await town.city.setClock(secondsAhead: 3601)
        let again = try await town.city.session(of: eve.accountID, secondsLeft: 7200)
        #expect(try await town.add("a5@example.org", to: eve, session: again).outcome == .sent)
        #expect(try await town.add("a6@example.org", to: eve, session: again).outcome == .tooManyAddresses)
    }

    @Test("An address of somebody else cannot be proven, preferred or removed, nor asked about")
    func others() async throws {
        let town = try await Town()
        let (ada, eve) = (try await town.city.resident(), try await town.city.resident())
        let address = try await town.prove("ada@example.org", of: ada)
        #expect(try await town.addresses.prefer(address.id, session: eve.session.hash) == .addressUnknown)
        #expect(try await town.addresses.remove(address.id, session: eve.session.hash) == .addressUnknown)
        try await town.city.revoke(ada.session)
        #expect(try await town.addresses.remove(address.id, session: ada.session.hash) == .credentialInvalid)
        #expect(try await town.addresses.all(of: ada.session.hash).isEmpty)
        try await town.serve { client in
            let browser = CityBrowser(client, session: eve.session)
            #expect(try await browser.get("/contact/addresses/\(address.id)").status == 404)
            _ = try await browser.get("/contact")
            #expect(try await browser.post("/contact/addresses/\(address.id)/again", []).status == 404)
            #expect(try await browser.post("/contact/addresses/\(address.id)/remove", []).status == 404)
        }
    }

    @Test("Whoever registers with an address proves it in the same browser, and signs in with it only then")
    func registering() async throws {
        let town = try await Town()
        try await town.serve { client in
            let (browser, other) = (CityBrowser(client), CityBrowser(client))
            _ = try await browser.get("/register")
            let registered = try await browser.post("/register", [("email", "Ada@Example.org"), ("password", "four plain words")])
            let place = try #require(registered.headers[.location])
            #expect(registered.status == 303 && place.hasPrefix("/contact/addresses/"))
            let page = try await browser.get(place)
            #expect(page.text.contains("ada@example.org"))
            _ = try await other.get("/sign-in")
            #expect(try await other.post("/sign-in", [("username", "ada@example.org"), ("password", "four plain words")]).status == 422)
            #expect(try await browser.post("\(place)/code", [("code", "0")]).status == 422)
            let code = try #require(try await town.code(to: "ada@example.org"))
            #expect(try await browser.post("\(place)/code", [("code", " \(code) ")]).headers[.location] == "/contact")
            #expect(try await browser.get("/contact").text.contains("You can sign in with it"))
            _ = try await other.get("/sign-in")
            #expect(try await other.post("/sign-in", [("username", "ADA@example.org"), ("password", "four plain words")]).status == 303)
        }
    }

    @Test("Registering with somebody else's address looks like any other, and neither account gets the other's")
    func registeringWithAnothers() async throws {
        let town = try await Town()
        let ada = try await town.city.resident()
        try await town.prove("ada@example.org", of: ada)
        try await town.serve { client in
            let browser = CityBrowser(client)
            _ = try await browser.get("/register")
            let registered = try await browser.post("/register", [("username", "eve"), ("email", "ada@example.org"), ("password", "four plain words")])
            #expect(registered.status == 303 && registered.headers[.location]?.hasPrefix("/contact/addresses/") == true)
        }
        #expect(try await town.city.owner.one(OneValue("SELECT count(*) FROM identity.address WHERE verified_at IS NOT NULL", of: Int64.self)) == 1)
    }

    @Test("Whoever changes addresses is heard of at the old ones; the last name to sign in with stays")
    func changes() async throws {
        let town = try await Town()
        let ada = try await town.city.resident()
        let first = try await town.prove("first@example.org", of: ada)
        #expect(try await town.addresses.all(of: ada.session.hash).map(\.isPrimary) == [true])
        #expect(try await town.addresses.remove(first.id, session: ada.session.hash) == .lastName)
        let second = try await town.prove("second@example.org", of: ada)
        try await town.deliver()
        #expect(await town.inbox.texts(to: "first@example.org").last?.contains("addresses of your account were changed") == true)
        #expect(try await town.addresses.prefer(second.id, session: ada.session.hash) == .changed)
        #expect(try await town.addresses.prefer(second.id, session: ada.session.hash) == .unchanged)
        try await town.deliver()
        let told = await town.inbox.texts(to: "first@example.org").count
        #expect(try await town.addresses.remove(second.id, session: ada.session.hash) == .removed)
        try await town.deliver()
        #expect(await town.inbox.texts(to: "first@example.org").count == told + 1)
        #expect(await town.inbox.texts(to: "second@example.org").last?.contains("changed") == true, "the address that went is told too")
        #expect(try await town.addresses.all(of: ada.session.hash).map { "\($0.value) \($0.isPrimary)" } == ["first@example.org true"])
        let names = try await town.city.owner.query(OneValue("SELECT hmac FROM identity.sign_in_name", of: [UInt8].self))
        #expect(names == [town.city.lookup.signInName("first@example.org")])
        // Removed, it is anybody's to prove.
        try await town.prove("second@example.org", of: try await town.city.resident())
    }

    @Test("A code may be written in the digits and with the spaces that somebody types", arguments: [
        ("12345678", "12345678"), (" 1234 5678 ", "12345678"), ("1234-5678", "12345678"), ("١٢٣٤ ٥٦٧٨", "12345678"), ("1234567", nil), ("123456789", nil), ("1234567½", nil),
    ])
    func writing(_ typed: String, _ code: String?) {
        #expect(AddressCode.read(typed) == code)
    }
}

@Suite("News outside the site")
struct NewsTests {
    private func wish(_ theme: ContactTheme, _ channel: OutgoingChannel, letter: Bool = false, of resident: FixtureResident, _ town: Town) async throws {
        let wishes = ContactWishes(channels: [theme: channel], wantsLetter: letter, canHaveLetters: true)
        let isSaved = try await town.city.app.exclusive { try await $0.one(ChooseContactWishes(session: resident.session.hash, wishes: wishes)) }
        #expect(isSaved)
    }

    private func waiting(_ channel: String, _ town: Town) async throws -> Int64 {
        try await town.city.owner.one(OneValue("SELECT count(*) FROM delivery.outgoing WHERE channel = \(channel) AND NOT is_done AND template = 'news'", of: Int64.self))
    }

    @Test("Who wished nothing gets nothing; who did hears that there is news, of that matter alone, once for all that waits, and not what it is")
    func wished() async throws {
        let town = try await Town()
        let (ada, bob) = (try await town.city.resident(), try await town.city.resident())
        try await town.prove("ada@example.org", of: ada)
        try await town.prove("bob@example.org", of: bob)
        try await wish(.log, .email, of: ada, town)
        let before = await town.inbox.all.count
        for resident in [ada, bob] {
            for _ in 0..<3 { try await Messages.send(.questionAnswered, to: resident.id, ["reference": "SECRET"], on: town.city.app) }
            try await Messages.send(.billPaid, to: resident.id, ["amount": "5", "reference": "SECRET"], on: town.city.app)
        }
        try await town.deliver()
        let news = await town.inbox.all.dropFirst(before)
        #expect(news.map(\.to) == ["ada@example.org"])
        #expect(news.allSatisfy { $0.text.contains("https://stoa.example") && !$0.text.contains("SECRET") })
        // Sent, the next one is told again.
        try await Messages.send(.questionAnswered, to: ada.id, ["reference": "SECRET"], on: town.city.app)
        #expect(try await waiting("email", town) == 1)
    }

    @Test("What an organisation asks and a sharing that ended are told; what the resident did is not")
    func sharing() async throws {
        let town = try await Town()
        let ada = try await town.city.resident()
        try await town.prove("ada@example.org", of: ada)
        try await wish(.sharing, .email, of: ada, town)
        let activity = try await town.city.activity(try await town.city.organisation("clinic"), "care", attributes: ["street"])
        for kind in ["given", "withdrawn"] { #expect(try await town.city.decide(kind, activity, by: ada) == "recorded") }
        #expect(try await waiting("email", town) == 0)
        let other = try await town.city.activity(try await town.city.organisation("clinic"), "research", attributes: ["street"])
        let outcome = try await town.city.owner.one(
            OneValue(
            """
            SELECT consent.append(gen_random_uuid(), \(ada.id), \(other.id), 'requested', \(["street"]), NULL, NULL, NULL, 'clinic', 'organisation', 'exchange', 'en', NULL)
            """, of: String.self))
        #expect(outcome == "recorded")
        #expect(try await waiting("email", town) == 1)
    }

    @Test("A letter for those who wish one, or where a message did not arrive, and only where the register holds an address")
    func letters() async throws {
        let town = try await Town()
        let (ada, bob) = (try await town.city.resident(), try await town.city.resident())
        try await town.city.owner.execute("UPDATE register.resident SET origin = 'self_registered' WHERE id = \(bob.id)")
        for resident in [ada, bob] { try await wish(.money, .letter, of: resident, town) }
        for resident in [ada, ada, bob] { try await Messages.send(.billPaid, to: resident.id, ["amount": "5", "reference": "X"], on: town.city.app) }
        #expect(try await waiting("letter", town) == 1, "one, and none for whom the register does not know")

        let eve = try await town.city.resident()
        try await town.prove("eve@example.org", of: eve)
        try await wish(.money, .email, letter: true, of: eve, town)
        try await Messages.send(.billPaid, to: eve.id, ["amount": "5", "reference": "X"], on: town.city.app)
        #expect(try await waiting("letter", town) == 1)
        try await town.city.owner.execute("SELECT delivery.give_up(id, 'status 550') FROM delivery.outgoing WHERE resident_id = \(eve.id) AND template = 'news'")
        #expect(try await waiting("letter", town) == 2)
    }

    @Test("The page keeps what was chosen, offers only ways that lead to the resident, and the app reads the addresses")
    func page() async throws {
        let town = try await Town()
        let ada = try await town.city.resident()
        let token = try await town.city.appToken(of: ada, scope: ["profile"])
        let other = try await town.city.appToken(of: ada, scope: ["bills"])
        try await town.serve { client in
            let browser = CityBrowser(client, session: ada.session)
            let empty = try await browser.get("/contact").text
            #expect(empty.contains("You have given no address") && !empty.contains("value=\"email\"") && empty.contains("value=\"letter\""))
            let themes = ContactTheme.allCases.map(\.rawValue)
            #expect(try await browser.post("/contact", themes.map { ($0, "email") }).status == 422)
            try await town.prove("ada@example.org", of: ada)
            _ = try await browser.get("/contact")
            let saved = try await browser.post("/contact", [("money", "email"), ("sharing", "letter"), ("log", "none"), ("account", "none"), ("letter_fallback", "yes")])
            #expect(saved.status == 303)
            let page = try await browser.get("/contact").text
            #expect(page.contains("name=\"money\" value=\"email\" checked") && page.contains("name=\"sharing\" value=\"letter\" checked"))
            #expect(page.contains("name=\"letter_fallback\" value=\"yes\" checked"))
            let list = try await CityAPIClient(client, token: token).get("/api/v1/addresses")
            #expect(list.status == 200 && list.text.contains(#""value":"ada@example.org""#) && list.text.contains(#""is_primary":true"#))
            #expect(try await CityAPIClient(client, token: other).get("/api/v1/addresses").status == 403)
        }
    }
}
