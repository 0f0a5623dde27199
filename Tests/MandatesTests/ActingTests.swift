// What a helper can do while they act, what not, and what the resident sees of it.
import AccessLog
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Messages
import Payments
import Postgres
import Primitives
import Testing
import Web

@testable import Mandates

@Suite("Acting for others")
struct ActingTests {
    private func resolve(_ family: Family, _ credential: CredentialHash) async throws -> Caller? { try await Site.resolver(using: family.city.app)(credential, .session) }

    private func newest(_ family: Family, _ credential: CredentialHash) async throws -> [String] {
        try await Messages.newest(50, of: credential, on: family.city.app).map(\.kind)
    }

    @Test("Nothing is told before the look is logged, and then only the matters of the mandate")
    func lookFirst() async throws {
        let family = try await Family()
        let acting = try await family.acting(try await family.settled([.messages]))
        #expect(try await newest(family, acting).isEmpty)
        #expect(try await family.mandates.logView(of: .money, by: acting) == false)
        #expect(try await newest(family, acting).isEmpty)
        #expect(try await family.mandates.logView(of: .messages, by: acting))
        #expect(try await newest(family, acting).sorted() == ["mandate_accepted", "mandate_granted"])
        #expect(try await family.mandates.logView(of: .messages, by: acting))
        #expect(try await family.help() == ["mandate_view money mandate_missing", "mandate_view messages permitted"], "once for each time that they act")
        // A look that is not committed tells nothing.
        let other = try await Family()
        let credential = try await other.acting(try await other.settled([.messages]))
        let told: Int = try await other.city.app.transaction { transaction in
            _ = try await transaction.one(LogMandateView(credential: credential, theme: .messages))
            return try await transaction.one(OneValue("SELECT count(*) FROM messages.messages_of(\(credential.bytes), NULL, NULL, 10)"))
        }
        #expect(told == 0)
    }

    @Test("Every function that was not made for helpers knows neither the credential nor the session that stands still")
    func unknownElsewhere() async throws {
        let family = try await Family()
        let acting = try await family.acting(try await family.settled())
        #expect(try await resolve(family, family.eve.session.hash) == nil)
        guard case .helper(let helper)? = try await resolve(family, acting) else {
            Issue.record("no helper")
            return
        }
        #expect(helper.publicCode == family.ada.publicCode.description && helper.themes == ["messages", "money"] && helper.accountID == family.eve.accountID)
        #expect(try await Site.resolver(using: family.city.app)(acting, .accessToken) == nil)
        let hash = acting.bytes
        for question: SQL in [
            "SELECT count(*) FROM identity.own_key(\(hash))", "SELECT count(*) FROM identity.own_addresses(\(hash))", "SELECT count(*) FROM identity.sessions_of(\(hash))",
            "SELECT count(*) FROM register.children_of(\(hash))", "SELECT count(*) FROM mandates.mandates_of(\(hash))", "SELECT count(*) FROM payouts.accounts_of(\(hash))",
        ] { #expect(try await family.city.app.one(OneValue(question, of: Int.self)) == 0) }
        let door = Door(database: try family.city.appPool(sharedConnections: 1))
        await #expect(throws: RefusedAccess.self) {
            _ = try await door.read(
                AccessRequest(credential: acting, operation: .ownView, subject: .own, attributes: ["street"], purpose: "profile", caseReference: ""))
        }
        // No helper of a helper: neither gives a mandate nor uses another one.
        #expect(try await family.mandates.grant(NewMandate(helper: family.ada.publicCode, helperName: "x", themes: [.money], days: 1), session: acting) == .credentialInvalid)
        #expect(try await family.mandates.act(under: try #require(helperMandate(family)), session: acting) == nil)
    }

    private func helperMandate(_ family: Family) async throws -> MandateID? {
        try await family.city.owner.optional(OneValue("SELECT id FROM mandates.mandate", of: UUID.self)).map { MandateID($0) }
    }

    @Test("Withdrawn or over while a page is open: the next look and the next payment are refused, and the helper's own session goes on")
    func endsAtOnce() async throws {
        for isWithdrawn in [true, false] {
            let family = try await Family()
            let bill = try await family.bill(of: family.ada)
            let mandate = try await family.settled(days: 1)
            try await family.serve { client in
                let browser = CityBrowser(client, session: family.eve.session)
                _ = try await browser.get("/mandates")
                #expect(try await browser.post("/mandates/\(mandate.id)/act", []).headers[.location] == "/acting")
                #expect(try await browser.get("/bills/\(bill)/pay").status == 200)
                if isWithdrawn {
                    #expect(try await family.decide(.withdrawn, family.ada, mandate.id) == .done)
                } else {
                    try await family.city.owner.execute("UPDATE web.credential SET idle_after = interval '3 days', expires_at = public.stoa_now() + interval '3 days'")
                    try await family.city.setClock(secondsAhead: 86_401)
                }
                #expect(try await browser.post("/bills/\(bill)/pay", []).headers[.location] == "/acting")
                #expect(try await browser.get("/messages").headers[.location] == "/acting")
                let stands = try await browser.get("/acting")
                #expect(stands.text.contains("This mandate has ended") && stands.text.contains("Ada Byron"))
                #expect(try await browser.post("/acting/stop", []).headers[.location] == "/mandates")
                #expect(try await browser.get("/mandates").text.contains("You are back in your own account"))
            }
            #expect(try await family.city.owner.one(OneValue("SELECT count(*) FROM payments.payment", of: Int.self)) == 0)
            #expect(try await family.help().contains("mandate_view money mandate_missing"))
        }
    }

    @Test("A helper pays the resident's bill from the resident's wallet, and nobody else's; the log says that it was done for them")
    func pays() async throws {
        let family = try await Family()
        let (bill, own) = (try await family.bill(of: family.ada), try await family.bill(of: family.eve, wallet: 0))
        let mandate = try await family.settled()
        try await family.serve { client in
            let browser = CityBrowser(client, session: family.eve.session)
            _ = try await browser.get("/mandates")
            _ = try await browser.post("/mandates/\(mandate.id)/act", [])
            let list = try await browser.get("/bills")
            #expect(list.text.contains("You act for") && list.text.contains("Ada Byron") && list.text.contains("/bills/\(bill)") && !list.text.contains("/bills/\(own)"))
            #expect(try await browser.get("/bills/\(own)").status == 404)
            _ = try await browser.get("/bills/\(bill)/pay")
            #expect(try await browser.post("/bills/\(bill)/pay", []).headers[.location] == "/bills/\(bill)/receipt")
            #expect(try await browser.get("/bills/\(bill)/receipt").text.contains("You act for"))
            for page in ["/", "/details", "/consents", "/access-log", "/security", "/mandates", "/mandates/new", "/contact", "/money", "/confirm-password"] {
                let answer = try await browser.get(page)
                #expect(answer.status == 404 || answer.headers[.location] == "/acting", "\(page) answered \(answer.status)")
            }
        }
        #expect(try await family.help() == ["mandate_view money permitted", "mandate_act pay_bill permitted"])
        let paid = try await family.city.owner.one(
            OneValue("SELECT account_id::text || ' ' || (mandate_id = \(mandate.id.uuid)) FROM payments.payment", of: String.self))
        #expect(paid == "\(family.eve.accountID) true")
        #expect(try await family.messages(family.ada).contains("bill_paid"))
        #expect(try await family.messages(family.eve) == ["mandate_offered"])
    }

    @Test("Two tabs: a form of the own account is not sent for somebody else, nor one for somebody in the own account")
    func twoTabs() async throws {
        let family = try await Family()
        let bill = try await family.bill(of: family.ada)
        let mandate = try await family.settled()
        try await family.serve { client in
            let browser = CityBrowser(client, session: family.eve.session)
            let own = try await browser.get("/mandates/new")
            let ownToken = try #require(own.text.firstMatch(of: /name="form_token" value="([^"]+)"/)).1
            _ = try await browser.get("/mandates")
            _ = try await browser.post("/mandates/\(mandate.id)/act", [])
            let stale = try await browser.post("/acting/stop", [("form_token", String(ownToken))])
            #expect(stale.status == 403)
            let pay = try await browser.get("/bills/\(bill)/pay")
            let payToken = try #require(pay.text.firstMatch(of: /name="form_token" value="([^"]+)"/)).1
            _ = try await browser.post("/acting/stop", [])
            #expect(try await browser.post("/bills/\(bill)/pay", [("form_token", String(payToken))]).status == 403)
        }
        #expect(try await family.city.owner.one(OneValue("SELECT count(*) FROM payments.payment", of: Int.self)) == 0)
    }

    @Test("Signing out while acting ends the helper's own session too, and so does its end the acting")
    func signingOut() async throws {
        let family = try await Family()
        let mandate = try await family.settled()
        let acting = try await family.acting(mandate)
        let sessions: SQL = "SELECT count(*) FROM web.credential WHERE account_id = \(family.eve.accountID) AND revoked_at IS NULL"
        #expect(try await family.city.owner.one(OneValue(sessions, of: Int.self)) == 1)
        try await family.city.app.execute("SELECT identity.sign_out(\(acting.bytes))")
        #expect(try await family.city.owner.one(OneValue(sessions, of: Int.self)) == 0)
        #expect(try await resolve(family, acting) == nil)
        #expect(try await family.mandates.stopActing(acting) == nil)

        let again = try await family.city.session(of: family.eve.accountID)
        let second = CredentialHash(token: try #require(try await family.mandates.act(under: mandate.id, session: again.hash)))
        try await family.city.owner.execute("UPDATE web.credential SET revoked_at = public.stoa_now() WHERE account_id = \(family.eve.accountID) AND revoked_at IS NULL")
        #expect(try await resolve(family, second) == nil)
    }

    @Test("Who begins to act, and stops, many times at once, holds one credential at a time")
    func races() async throws {
        let family = try await Family(sharedConnections: 8)
        let mandate = try await family.settled()
        let tokens = try await withThrowingTaskGroup(of: String?.self) { group in
            for _ in 0..<8 { group.addTask { try await family.mandates.act(under: mandate.id, session: family.eve.session.hash) } }
            return try await group.reduce(into: [String]()) { if let token = $1 { $0.append(token) } }
        }
        #expect(tokens.count == 1)
        let acting = CredentialHash(token: try #require(tokens.first))
        let back = try await withThrowingTaskGroup(of: String?.self) { group in
            for _ in 0..<8 { group.addTask { try await family.mandates.stopActing(acting) } }
            return try await group.reduce(into: [String]()) { if let token = $1 { $0.append(token) } }
        }
        #expect(back.count == 1)
        guard case .resident(let eve)? = try await resolve(family, CredentialHash(token: try #require(back.first))) else {
            Issue.record("the own session did not go on")
            return
        }
        #expect(eve.accountID == family.eve.accountID)
        #expect(try await resolve(family, acting) == nil)
    }

    @Test("On-line from beginning to end: give, accept, act for messages, and the resident reads who did what under which mandate")
    func story() async throws {
        let family = try await Family()
        try await family.serve { client in
            let (ada, eve) = (CityBrowser(client, session: family.ada.session), CityBrowser(client, session: family.eve.session))
            _ = try await ada.get("/mandates/new")
            let empty = try await ada.post("/mandates", [("helper", "nonsense"), ("name", ""), ("duration", "")])
            #expect(empty.status == 422 && empty.text.contains("id=\"helper-error\"") && empty.text.contains("id=\"messages-error\""))
            let given = try await ada.post(
                "/mandates", [("helper", family.eve.publicCode.description), ("name", "Eve, my niece"), ("messages", "yes"), ("duration", "month")])
            #expect(given.headers[.location] == "/mandates")
            #expect(try await ada.get("/mandates").text.contains("Eve, my niece"))
            #expect(try await eve.get("/").text.contains("Ada Byron"))
            let page = try await eve.get("/mandates")
            let mandate = try #require(page.text.firstMatch(of: /\/mandates\/([0-9a-f-]{36})\/decision/)).1
            #expect(try await eve.post("/mandates/\(mandate)/decision", [("decision", "accepted")]).headers[.location] == "/mandates")
            _ = try await eve.get("/mandates")
            #expect(try await eve.post("/mandates/\(mandate)/act", []).headers[.location] == "/acting")
            #expect(try await eve.get("/messages").text.contains("mandate"))
            #expect(try await eve.get("/bills").headers[.location] == "/acting", "money is not in it")
        }
        #expect(try await family.help() == ["mandate_view messages permitted", "mandate_view money mandate_missing"])
        try await family.serve { client in
            let ada = CityBrowser(client, session: family.ada.session)
            // Eve's session stands still while she acts.
            let reference = try #require(try await family.mandates.all(of: family.ada.session.hash).first).reference
            let log = try await ada.get("/access-log").text
            #expect(log.contains("Somebody who acts for you looked into your matters") && log.contains("Your mandate \(reference)"))
            #expect(!(try await ada.get("/access-log?helpers=hidden").text.contains("Somebody who acts for you")))
        }
    }
}
