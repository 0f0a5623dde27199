// Bills, paying them, receipts, and the resident's money at one glance; as pages and as JSON.
import Benefits
public import Foundation
import HTTPTypes
import Hummingbird
public import Ledger
public import Postgres
import Primitives
public import Web

/// URL table of the slice.
public struct PaymentsRoutes: Sendable {
    private let database: Database
    private let ledger: Ledger
    private let received: ReceivedBenefits
    private let zone: TimeZone

    /// - Parameter zone: the city's, whose midnight makes a bill overdue.
    public init(database: Database, ledger: Ledger, zone: TimeZone) {
        self.database = database
        self.ledger = ledger
        received = ReceivedBenefits(database: database)
        self.zone = zone
    }

    public func add(to site: Site) {
        site.declare(pages: [MoneyPage.self, BillsPage.self, BillPage.self, PayPage.self, ReceiptPage.self])
        site.addNavigation(.resident, path: "/money", textKey: "payments.navigation")
        site.addTasks(OpenBills(database: database, zone: zone).tasks)
        let taken = OwnMoney(database: database, ledger: ledger, zone: zone)
        site.addOwnData(OwnDataPart(name: "bills", textKey: "payments.own_data.bills", scope: "bills", read: taken.bills))
        site.addOwnData(OwnDataPart(name: "wallet", textKey: "payments.own_data.wallet", scope: "payments", read: taken.walletEntries))
        site.addOwnData(OwnDataPart(name: "benefits", textKey: "payments.own_data.benefits", scope: "payments", read: taken.benefits))
        site.resident.get("/money", use: money)
        let helped = site.resident(helpersIn: "money")
        helped.get("/bills", use: bills)
        helped.get("/bills/{id}", use: bill)
        helped.get("/bills/{id}/pay", use: confirm)
        helped.post("/bills/{id}/pay", use: pay)
        helped.get("/bills/{id}/receipt", use: receipt)
        site.residentAPI.get("/api/v1/bills", use: listBills)
        site.residentAPI.get("/api/v1/bills/{id}", use: showBill)
        site.residentAPI.post("/api/v1/bills/{id}/payments", use: createPayment)
    }

    /// Bills on one page or in one answer: more than a household gets in two years.
    static let billsPerPage = 50
    /// Movements on the money page: a month or two of most people.
    static let entriesOnMoney = 20

    // MARK: Pages

    @Sendable func money(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let credential = context.resident.credential
        async let bills = database.query(BillsOf(credential: credential, before: nil, count: Self.billsPerPage))
        async let benefits = received.newest(Self.billsPerPage, before: nil, of: credential)
        let wallets = try await ledger.wallets(of: credential)
        var entries: [WalletEntry] = []
        for wallet in wallets {
            entries += try await ledger.entries(of: credential, in: wallet.balance.currency, count: Self.entriesOnMoney)
        }
        let page = try await MoneyPage(wallets: wallets, entries: entries, bills: bills, benefits: benefits, zone: zone, context)
        return try context.page(page, title: "payments.money.title")
    }

    @Sendable func bills(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let page = try await billList(context.resident.credential, try context.query(request).value("before"))
        return try context.page(BillsPage(page, zone: zone, context), title: "payments.bills.title")
    }

    @Sendable func bill(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let bill = try await find(context, context.resident.credential)
        let lines = try await database.query(BillLinesOf(credential: context.resident.credential, bill: bill.id))
        let account = try await database.optional(CollectingAccountFor(currency: bill.amount.currency))
        let forgone = try await database.query(ForgoneOf(credential: context.resident.credential, bill: bill.id))
        return try context.page(
            BillPage(bill, lines, forgone: forgone, account, zone: zone, context), title: "payments.bill.title", ["title": bill.title.text(context.language)])
    }

    @Sendable func confirm(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let bill = try await find(context, context.resident.credential)
        if bill.isPaid { return context.redirect(to: "/bills/\(bill.id)/receipt") }
        return try await confirm(bill, context)
    }

    @Sendable func pay(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let bill = try await find(context, context.resident.credential)
        do {
            _ = try await PayBill(database: database).perform(bill.id, by: context.resident.credential, key: nil, language: context.language)
            context.notice("payments.pay.done")
        } catch PayBillRefusal.alreadyPaid {
            // The form was sent twice, or somebody was faster on another device: the receipt says when.
            context.notice("payments.pay.was_paid")
        } catch PayBillRefusal.insufficientFunds {
            return try await confirm(bill, context, status: .unprocessableContent)
        } catch let refusal as PayBillRefusal {
            throw refusal.problem
        }
        return context.redirect(to: "/bills/\(bill.id)/receipt")
    }

    @Sendable func receipt(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let bill = try await find(context, context.resident.credential)
        if bill.payment == nil { return context.redirect(to: "/bills/\(bill.id)") }
        let payments = try await database.query(PaymentsOf(credential: context.resident.credential, bill: bill.id))
        return try context.page(ReceiptPage(bill, payments, context), title: "payments.receipt.title")
    }

    private func confirm(_ bill: Bill, _ context: ResidentContext, status: HTTPResponse.Status = .ok) async throws -> Response {
        let wallets = try await ledger.wallets(of: context.resident.credential)
        let balance = wallets.first { $0.balance.currency == bill.amount.currency }?.balance
        let page = PayPage(bill, balance: balance, cover: try PaymentsRules.cover(of: bill.outstanding, by: balance), context)
        return try context.page(page, title: "payments.pay.title", status: status)
    }

    // MARK: JSON

    @Sendable func listBills(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "bills")
        let page = try await billList(context.resident.credential, try context.query(request).value("cursor"))
        let items = page.bills.map { BillBody($0, lines: nil, zone: zone, context.language) }
        return try .json(CursorList(items: items, nextCursor: page.next?.description))
    }

    @Sendable func showBill(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "bills")
        let bill = try await find(context, context.resident.credential)
        let lines = try await database.query(BillLinesOf(credential: context.resident.credential, bill: bill.id))
        return try .json(BillBody(bill, lines: lines, zone: zone, context.language))
    }

    @Sendable func createPayment(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "payments")
        let id: BillID = try context.parameter("id")
        let key = try request.idempotencyKey()
        let (value, bytes) = try await context.jsonValue(request)
        let body = try JSONReader(value)
        try body.checkedEmpty()
        let idempotencyKey = IdempotencyKey(key, path: "/api/v1/bills/\(id)/payments", body: bytes)
        do {
            let bill = try await PayBill(database: database).perform(
                id, by: context.resident.credential, key: idempotencyKey, language: context.language)
            guard let payment = bill.payment else { throw Problem.notFound }
            return try .json(PaymentBody(payment, of: bill), status: .created)
        } catch let refusal as PayBillRefusal {
            throw refusal.problem
        }
    }

    // MARK: Reading

    /// The bill of the address; 404 for a malformed id, an unknown one and somebody else's alike.
    private func find(_ context: some PageContext, _ credential: CredentialHash) async throws -> Bill {
        guard let bill = try await database.optional(BillOf(credential: credential, bill: try context.parameter("id"))) else { throw Problem.notFound }
        return bill
    }

    private func billList(_ credential: CredentialHash, _ before: String?) async throws -> BillList {
        let cursor = try MomentCursor(parameter: before)
        // One more than is shown tells whether there is another page.
        var bills = try await database.query(BillsOf(credential: credential, before: cursor, count: Self.billsPerPage + 1))
        let hasMore = bills.count > Self.billsPerPage
        if hasMore { bills.removeLast() }
        return BillList(bills: bills, next: hasMore ? bills.last.map { MomentCursor(at: $0.createdAt, id: $0.id.uuid) } : nil)
    }
}

extension JSONReader {
    /// A body that names nothing: `{}`.
    fileprivate func checkedEmpty() throws {
        var reader = self
        try reader.finish()
    }
}
