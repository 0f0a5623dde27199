// "Something is wrong": from the resident's words to a refund that another approved. What the database refuses comes first.
import AccessLog
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Ledger
import Messages
import Payments
import Postgres
import Primitives
import Register
import Testing
import Web

@testable import Disputes

/// A city where Ada has paid a bill.
private struct Town: Sendable {
    let city: CityFixture
    let ada: FixtureResident
    let eve: FixtureResident
    let caseworker: FixtureStaff
    let officer: FixtureStaff
    let auditor: FixtureStaff
    let disputes: Disputes
    let bill = BillID.new()
    let payment: UUID

    static let paid: Int64 = 4_250

    init() async throws {
        city = try await CityFixture.make()
        (ada, eve) = (try await city.resident(), try await city.resident())
        caseworker = try await city.staff(roles: [.caseworker, .financeOfficer])
        officer = try await city.staff(roles: [.financeOfficer])
        auditor = try await city.staff(roles: [.auditor])
        disputes = Disputes(database: city.app, door: Door(database: city.app), vault: city.vault)
        let (funding, revenue) = (LedgerAccountID.new(), LedgerAccountID.new())
        let ledger = LedgerAdministration(owner: city.owner)
        try await ledger.open(funding, kind: .funding, currency: .eur)
        try await ledger.open(revenue, kind: .revenue, currency: .eur)
        let wallet = try await ledger.openWallet(of: ada.id, in: .eur)
        try await ledger.post(
            [Transfer(id: .new(), debit: funding, credit: wallet, amount: Money(minorUnits: 10_000, currency: .eur), reference: "Counter 3")],
            occasion: "test")
        let today = try await city.owner.one(OneValue("SELECT public.stoa_now()::date", of: CalendarDay.self))
        try await BillIssuing(owner: city.owner).issue(
            NewBill(
                id: bill, residentID: ada.id, kind: .fee, reference: "W-1", title: LocalisedText([.english: "Waste <b>collection</b>"]),
                issuedOn: today, dueOn: today, paysInto: revenue,
                lines: [(LocalisedText([.english: "Two bins"]), Money(minorUnits: Self.paid, currency: .eur))]))
        payment = UUID()
        let paying: SQL = "SELECT outcome FROM payments.pay(\(ada.session.hash.bytes), \(bill), \(payment), 'ABC-DEF-GHJ', NULL, NULL)"
        let outcome: String = try await city.app.exclusive { try await $0.one(OneValue(paying)) }
        #expect(outcome == "paid")
    }

    func serve(_ body: @Sendable (any TestClientProtocol) async throws -> Void) async throws {
        try await city.serve {
            MessagesRoutes(database: city.app).add(to: $0)
            DisputesRoutes(disputes: disputes).add(to: $0)
            DisputeStaffRoutes(disputes: disputes).add(to: $0)
        } _: { try await body($0) }
    }

    func open(
        _ words: String = "I paid this twice", id: DisputeID = .new(), category: String = "paid_twice", kind: DisputedKind = .payment,
        about: UUID? = nil, by resident: FixtureResident? = nil
    ) async throws -> OpenDisputeOutcome {
        let new = NewDispute(id: id, kind: kind, aboutID: about ?? payment, category: category, words: words)
        return try await disputes.open(new, by: (resident ?? ada).session.hash).outcome
    }

    func reference() async throws -> String {
        try await city.owner.one(OneValue("SELECT reference FROM disputes.dispute ORDER BY opened_at DESC LIMIT 1"))
    }

    func atHand(_ staff: FixtureStaff? = nil) async throws -> DisputeAtHand? {
        try await disputes.look(into: try await reference(), for: (staff ?? caseworker).session.hash)
    }

    /// - Returns: the outcome, and the decision's id.
    func decide(
        _ finding: DisputeFinding = .upheld, refund: Int64? = nil, id: DisputeDecisionID = .new()
    ) async throws -> (outcome: DecideOutcome, id: DisputeDecisionID) {
        let atHand = try #require(try await atHand())
        let new = NewDecision(id: id, finding: finding, refund: refund, words: "You are right", grounds: refund == nil ? nil : "Bank shows two")
        return (try await disputes.decide(new, about: atHand, session: caseworker.session.hash), id)
    }

    func wallet() async throws -> Int64 {
        try await Ledger(database: city.app).wallets(of: ada.session.hash).first?.balance.minorUnits ?? 0
    }

    func messages(_ kind: String) async throws -> Int {
        try await city.owner.one(OneValue("SELECT count(*) FROM messages.message WHERE kind = \(kind)", of: Int.self))
    }
}

@Suite("Something is wrong")
struct DisputeTests {
    @Test("Only what is one's own can be disputed, in a category that fits, and once at a time")
    func whoMayOpen() async throws {
        let town = try await Town()
        #expect(try await town.open(by: town.eve) == .thingUnknown)
        #expect(try await town.open(about: UUID()) == .thingUnknown)
        #expect(try await town.open(kind: .bill) == .thingUnknown)
        #expect(try await town.open(category: "not_received") == .categoryUnknown)
        #expect(try await town.open(category: "no_such") == .categoryUnknown)
        await #expect(throws: (any Error).self) {
            _ = try await town.disputes.open(
                NewDispute(id: .new(), kind: .payment, aboutID: town.payment, category: "fee", words: "x"), by: town.caseworker.session.hash)
        }
        let id = DisputeID.new()
        #expect(try await town.open(id: id) == .opened)
        #expect(try await town.open(id: id) == .opened)
        #expect(try await town.open() == .alreadyOpen)
        #expect(try await town.open(category: "cannot_pay", kind: .bill, about: town.bill.uuid) == .opened)
        #expect(try await town.messages("dispute_received") == 2)
        let due = try await town.city.owner.one(
            OneValue("SELECT bool_and(due_at = opened_at + interval '10 days') FROM disputes.dispute", of: Bool.self))
        #expect(due)
        #expect(try await town.disputes.own(id, of: town.ada.session.hash)?.words.map(\.text) == ["I paid this twice"])
        #expect(try await town.disputes.own(id, of: town.eve.session.hash) == nil)
    }

    @Test("Ten disputes at once about one payment leave one")
    func openingAtOnce() async throws {
        let town = try await Town()
        let outcomes = try await withThrowingTaskGroup(of: OpenDisputeOutcome.self) { group in
            for number in 0..<10 { group.addTask { try await town.open("Number \(number)") } }
            return try await group.reduce(into: [OpenDisputeOutcome]()) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == .opened } == 1 && outcomes.count { $0 == .alreadyOpen } == 9)
    }

    @Test("What was written is given to nobody without a committed look in the resident's log")
    func lookFirst() async throws {
        let town = try await Town()
        let id = DisputeID.new()
        _ = try await town.open(id: id)
        // Another session of the resident has not looked yet.
        let unlogged = try await town.city.session(of: town.ada.accountID)
        let words: SQL = "SELECT count(*) FROM disputes.own_words(\(unlogged.hash.bytes), \(id))"
        #expect(try await town.city.app.one(OneValue(words, of: Int.self)) == 0)
        for staff in [town.officer, town.auditor] { #expect(try await town.atHand(staff) == nil) }
        let before = try await town.city.entryCount()
        #expect(try await town.atHand()?.words.map(\.text) == ["I paid this twice"])
        #expect(try await town.city.entryCount() == before + 1)
        // The entry serves its maker alone.
        let entry = try await town.city.owner.one(OneValue("SELECT id FROM access_log.entry WHERE operation = 'view'", of: UUID.self))
        let other = try await town.city.staff(roles: [.caseworker])
        for staff in [other, town.officer] {
            let under: SQL = "SELECT count(*) FROM disputes.under(\(staff.session.hash.bytes), \(entry))"
            #expect(try await town.city.app.one(OneValue(under, of: Int.self)) == 0)
        }
        // Who has not looked cannot write or decide.
        let sealed = [UInt8](repeating: 1, count: 40)
        let deciding: SQL = "SELECT outcome FROM disputes.decide(\(other.session.hash.bytes), \(id), \(UUID()), 'upheld', NULL, \(sealed), NULL)"
        let refused: String = try await town.city.app.exclusive { try await $0.one(OneValue(deciding)) }
        #expect(refused == "not_allowed")
    }

    @Test("A conversation, a decision, and then silence; the same message twice is one")
    func conversation() async throws {
        let town = try await Town()
        let id = DisputeID.new()
        _ = try await town.open(id: id)
        let atHand = try #require(try await town.atHand())
        let (answer, more) = (DisputeMessageID.new(), DisputeMessageID.new())
        for _ in 0..<2 {
            #expect(try await town.disputes.reply("Which day?", as: answer, to: atHand, session: town.caseworker.session.hash) == .written)
            #expect(try await town.disputes.write("On Monday", as: more, in: id, by: town.ada.session.hash) == .written)
        }
        #expect(try await town.disputes.write("Not mine", as: .new(), in: id, by: town.eve.session.hash) == .disputeUnknown)
        #expect(try await town.messages("dispute_reply") == 1)
        #expect(try await town.decide(.rejected).outcome == .decided)
        #expect(try await town.disputes.write("But", as: .new(), in: id, by: town.ada.session.hash) == .closed)
        let own = try #require(try await town.disputes.own(id, of: town.ada.session.hash))
        #expect(own.words.map(\.text) == ["I paid this twice", "Which day?", "On Monday", "You are right"])
        #expect(own.words.map(\.isFromCity) == [false, true, false, true] && own.dispute.state == .rejected)
        #expect(try await town.atHand() == nil)
        // Who does not agree may ask again.
        #expect(try await town.open() == .opened)
    }

    @Test("A refund needs somebody else, is paid once however many approve at once, and is told only then")
    func refund() async throws {
        let town = try await Town()
        let id = DisputeID.new()
        _ = try await town.open(id: id)
        let before = try await town.wallet()
        let decision = try await town.decide(refund: Town.paid)
        #expect(decision.outcome == .approvalNeeded)
        // The one who decided is a finance officer too.
        #expect(try await town.disputes.approve(decision.id, session: town.caseworker.session.hash) == .selfApproval)
        #expect(try await town.disputes.refuse(decision.id, reason: "No", session: town.caseworker.session.hash) == .selfApproval)
        #expect(try await town.disputes.approve(decision.id, session: town.auditor.session.hash) == .roleMissing)
        let waiting = try #require(try await town.disputes.own(id, of: town.ada.session.hash))
        #expect(waiting.dispute.state == .open || waiting.dispute.state == .approval)
        #expect(waiting.words.count == 1 && waiting.dispute.closedAt == nil)
        let outcomes = try await withThrowingTaskGroup(of: ApprovalOutcome.self) { group in
            for _ in 0..<8 { group.addTask { try await town.disputes.approve(decision.id, session: town.officer.session.hash) } }
            return try await group.reduce(into: [ApprovalOutcome]()) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == .approved } == 1 && outcomes.count { $0 == .alreadyDecided } == 7)
        #expect(try await town.wallet() == before + Town.paid)
        #expect(try await town.messages("dispute_refunded") == 1)
        let told = try #require(try await town.disputes.own(id, of: town.ada.session.hash))
        #expect(told.dispute.state == .upheld && told.dispute.refunded?.minorUnits == Town.paid && told.words.count == 2)
    }

    @Test("The database refuses a self-approval and more back than was paid, whoever writes")
    func databaseRefuses() async throws {
        let town = try await Town()
        let id = DisputeID.new()
        _ = try await town.open(id: id)
        #expect(try await town.decide(refund: Town.paid + 1).outcome == .refundTooHigh)
        let before = try #require(try await town.atHand())
        let decision = try await town.decide(.partlyUpheld, refund: 4_000)
        #expect(decision.outcome == .approvalNeeded)
        let second = NewDecision(id: .new(), finding: .rejected, words: "No", grounds: nil)
        #expect(try await town.disputes.decide(second, about: before, session: town.caseworker.session.hash) == .alreadyDecided)
        await #expect {
            try await town.city.owner.execute(
            """
            INSERT INTO disputes.approval (decision_id, decided_by, kind, approved_by, refusal_reason)
            VALUES (\(decision.id), \(town.caseworker.id), 'refused', \(town.caseworker.id), 'because')
            """)
        } throws: { ($0 as? DatabaseError)?.constraint == "refund_approved_by_another" }
        #expect(try await town.disputes.approve(decision.id, session: town.officer.session.hash) == .approved)
        // 250 are left, also for a new dispute about the same payment.
        _ = try await town.open(id: .new())
        #expect(try await town.decide(refund: 251).outcome == .refundTooHigh)
        #expect(try await town.decide(refund: 250).outcome == .approvalNeeded)
        for table in ["dispute", "message", "decision", "approval", "escalation"] {
            await #expect(throws: DatabaseError.self) { try await town.city.app.execute("DELETE FROM disputes.\(unsafeRaw: table)") }
            await #expect(throws: DatabaseError.self) { try await town.city.app.execute("SELECT FROM disputes.\(unsafeRaw: table)") }
        }
    }

    @Test("A refund that is not approved opens the dispute again, with the reason")
    func refusedRefund() async throws {
        let town = try await Town()
        _ = try await town.open()
        let decision = try await town.decide(refund: 1_000)
        #expect(try await town.disputes.refuse(decision.id, reason: "The bank shows one", session: town.officer.session.hash) == .refused)
        #expect(try await town.disputes.approve(decision.id, session: town.officer.session.hash) == .alreadyDecided)
        let again = try #require(try await town.atHand())
        #expect(again.refused.map(\.reason) == ["The bank shows one"] && again.dispute.state == .open)
        #expect(try await town.decide(.rejected).outcome == .decided)
    }

    @Test("What is overdue is told to the resident once, and auditors see it until it is decided")
    func escalation() async throws {
        let town = try await Town()
        _ = try await town.open()
        #expect(try await DisputeEscalation.run(in: town.city.app) == 0)
        try await town.city.owner.execute("UPDATE web.credential SET idle_after = interval '30 days', expires_at = public.stoa_now() + interval '30 days'")
        try await town.city.setClock(secondsAhead: 11 * 86_400)
        #expect(try await DisputeEscalation.run(in: town.city.app) == 1)
        #expect(try await DisputeEscalation.run(in: town.city.app) == 0)
        #expect(try await town.messages("dispute_late") == 1)
        let late = try await town.city.app.query(LateDisputes(credential: town.auditor.session.hash))
        #expect(late.map(\.category) == ["paid_twice"])
        #expect(try await town.city.app.query(LateDisputes(credential: town.caseworker.session.hash)).isEmpty)
        #expect(try await town.decide().outcome == .decided)
        #expect(try await town.city.app.query(LateDisputes(credential: town.auditor.session.hash)).isEmpty)
    }

    @Test("Figures are public, and silent where somebody could be recognised")
    func figures() async throws {
        let town = try await Town()
        for _ in 0..<4 {
            _ = try await town.open()
            _ = try await town.decide(.rejected)
        }
        let few = try await town.city.app.query(PublicFigures()).first { $0.category == "paid_twice" }
        #expect(few?.counts == nil)
        _ = try await town.open()
        let counts = try #require(try await town.city.app.query(PublicFigures()).first { $0.category == "paid_twice" }?.counts)
        #expect(counts.opened == 5 && counts.waiting == 1 && counts.rejected == 4 && counts.upheld == 0 && counts.late == 0)
        try await town.serve { client in
            let page = try await CityBrowser(client).get("/disputes/figures")
            #expect(page.status == 200 && page.text.contains("It was paid twice") && page.text.contains("fewer than 5"))
        }
    }
}

@Suite("Disputes on pages and in the interface")
struct DisputeRouteTests {
    @Test("From the link on the receipt to the refund, by forms alone")
    func story() async throws {
        let town = try await Town()
        try await town.serve { client in
            let anonymous = CityBrowser(client)
            #expect(try await anonymous.get("/disputes").status == 303)
            let eve = CityBrowser(client, session: town.eve.session)
            #expect(try await eve.get("/disputes/new?about=payment&id=\(town.payment)").status == 404)
            let ada = CityBrowser(client, session: town.ada.session)
            #expect(try await ada.get("/disputes/new?about=nothing&id=1").status == 404)
            let form = try await ada.get("/disputes/new?about=payment&id=\(town.payment)")
            #expect(form.status == 200 && form.text.contains("ABC-DEF-GHJ") && !form.text.contains("<b>collection"))
            let empty = try await ada.post("/disputes", [("about", "payment"), ("id", town.payment.uuidString)])
            #expect(empty.status == 422 && empty.text.contains("Choose one of the options"))
            let sent = try await ada.post(
                "/disputes",
                [("about", "payment"), ("id", town.payment.uuidString), ("category", "paid_twice"), ("words", "<i>Twice</i>, on \"Monday\"")])
            let address = try #require(sent.headers[.location])
            let page = try await ada.get(address)
            #expect(page.status == 200 && page.text.contains("&lt;i&gt;Twice"))
            #expect(try await eve.get(address).status == 404)

            let reference = try await town.reference()
            let caseworker = CityBrowser(client, session: town.caseworker.session)
            #expect(try await caseworker.get("/staff/disputes").text.contains(reference))
            #expect(try await CityBrowser(client, session: town.officer.session).get("/staff/disputes/\(reference)").status == 403)
            _ = try await caseworker.get("/staff/disputes/\(reference)")
            #expect(try await caseworker.post("/staff/disputes/\(reference)/messages", [("words", "Which day?")]).status == 303)
            #expect(try await ada.get(address).text.contains("Which day?"))
            let decided = try await caseworker.post(
                "/staff/disputes/\(reference)/decision",
                [("finding", "upheld"), ("answer", "You are right"), ("refund", "42.50"), ("grounds", "The bank shows two")])
            #expect(decided.status == 303)
            // The officer's first form approves.
            let officer = CityBrowser(client, session: town.officer.session)
            let refund = try await officer.get("/staff/disputes/refunds/\(reference)")
            #expect(refund.text.contains("42.50") && !refund.text.contains("Twice"))
            let decision = try #require(refund.text.firstMatch(of: /name="decision" value="([^"]+)"/)?.1)
            #expect(try await officer.post("/staff/disputes/refunds/\(reference)/approve", [("decision", String(decision))]).status == 303)
            let closed = try await ada.get(address)
            #expect(closed.text.contains("You are right") && closed.text.contains("42.50") && !closed.text.contains("<textarea"))
            #expect(try await ada.get("/messages").text.contains("was paid back"))
        }
    }

    @Test("Mistakes in a decision stand beside their field, and nothing is decided")
    func decisionMistakes() async throws {
        let town = try await Town()
        _ = try await town.open()
        let reference = try await town.reference()
        try await town.serve { client in
            let caseworker = CityBrowser(client, session: town.caseworker.session)
            _ = try await caseworker.get("/staff/disputes/\(reference)")
            for (fields, message) in [
                ([("finding", "upheld"), ("answer", "x"), ("refund", "-1"), ("grounds", "why")], "above zero"),
                ([("finding", "rejected"), ("answer", "x"), ("refund", "1"), ("grounds", "why")], "nothing was wrong"),
                ([("finding", "upheld"), ("answer", "x"), ("refund", "99999"), ("grounds", "why")], "more than was paid"),
                ([("finding", "upheld"), ("answer", "x"), ("refund", "1")], "Fill in this field"),
                ([("answer", "x")], "Choose one of the options"),
            ] {
                let answer = try await caseworker.post("/staff/disputes/\(reference)/decision", fields)
                #expect(answer.status == 422 && answer.text.contains(message), "\(fields)")
            }
            #expect(try await town.city.owner.one(OneValue("SELECT count(*) FROM disputes.decision", of: Int.self)) == 0)
        }
    }

    @Test("An app does the same, and needs the scope")
    func interface() async throws {
        let town = try await Town()
        let token = try await town.city.appToken(of: town.ada, scope: ["payments"])
        let narrow = try await town.city.appToken(of: town.ada, scope: ["messages"])
        let id = UUID().uuidString.lowercased()
        let body = #"{"about": "payment", "about_id": "\#(town.payment)", "category": "fee", "words": "Why a fee?"}"#
        try await town.serve { client in
            #expect(try await CityAPIClient(client, token: nil).get("/api/v1/disputes").status == 401)
            #expect(try await CityAPIClient(client, token: narrow).put("/api/v1/disputes/\(id)", body).status == 403)
            let app = CityAPIClient(client, token: token)
            #expect(try await app.get("/api/v1/disputes/\(id)").status == 404)
            #expect(try await app.put("/api/v1/disputes/\(id)", body.replacingOccurrences(of: "fee\"", with: "cannot_pay\"")).problem == "dispute-category-unknown")
            #expect(try await app.put("/api/v1/disputes/\(id)", body).status == 201)
            let again = try await app.put("/api/v1/disputes/\(id)", body)
            #expect(again.status == 200 && again.json["words"]?.itemCount == 1)
            #expect(try await app.put("/api/v1/disputes/\(UUID().uuidString.lowercased())", body).problem == "dispute-open")
            let more = try await app.put("/api/v1/disputes/\(id)/messages/\(UUID().uuidString.lowercased())", #"{"words": "Please"}"#)
            #expect(more.status == 200 && more.json["words"]?.itemCount == 2)
            #expect(try await app.get("/api/v1/disputes").json["items"]?.itemCount == 1)
        }
    }
}

extension JSONValue {
    fileprivate var itemCount: Int? {
        guard case .array(let items) = self else { return nil }
        return items.count
    }
}
