// Conversions: two legs or none, amounts that agree with the rate, and position accounts that nothing else moves.
import City
import Foundation
import Postgres
import Primitives
import TestSupport
import Testing
import Web

@testable import Ledger

@Suite("Conversions")
struct ConversionTests {
    private struct Exchange {
        let bank: Bank
        let euros: LedgerAccountID
        let dollars: LedgerAccountID

        init(_ minorUnits: Int64 = 10_000) async throws {
            bank = try await Bank()
            euros = try await bank.account(minorUnits)
            dollars = try await bank.account(0, .usd)
        }

        func conversion(
            _ sold: Int64, _ bought: Int64, _ rate: String, id: TransferID = .new(), boughtID: TransferID = .new(), reference: String = "travel"
        ) throws -> Conversion {
            Conversion(
                id: id, boughtID: boughtID, from: euros, to: dollars, sold: Money(minorUnits: sold, currency: .eur),
                bought: Money(minorUnits: bought, currency: .usd), rate: try #require(ConversionRate(rate)), reference: reference)
        }

        func convert(_ conversion: Conversion) async throws -> TransferOutcome {
            try await bank.ledger.convert(conversion, by: bank.client.credential.hash)
        }

        func position(_ currency: String) async throws -> Int64 {
            try await bank.city.owner.one(OneValue("SELECT posted FROM ledger.account WHERE kind = 'position' AND currency = \(currency)"))
        }
    }

    @Test("Without the scope, from or to another's account, or with amounts that the rate does not make, nothing moves and the id stays free")
    func refusals() async throws {
        let exchange = try await Exchange()
        let bank = exchange.bank
        let good = try exchange.conversion(10_000, 10_842, "1.0842")
        let reader = try await bank.city.clientToken("bank", scope: ["exchange.read"])
        #expect(try await bank.ledger.convert(good, by: reader.hash) == .scopeMissing)
        #expect(try await bank.ledger.convert(good, by: FixtureCredential().hash) == .credentialInvalid)
        let rival = try await bank.city.organisation("rival", scope: ["ledger.post"])
        #expect(try await bank.ledger.convert(good, by: rival.credential.hash) == .accountUnknown(field: "debit_account"))
        for bought: Int64 in [10_841, 10_843, 1] {
            #expect(try await exchange.convert(exchange.conversion(10_000, bought, "1.0842", id: good.id, boughtID: good.boughtID)) == .rateMismatch)
        }
        let turned = Conversion(
            id: good.id, boughtID: good.boughtID, from: exchange.dollars, to: exchange.euros, sold: good.sold, bought: good.bought, rate: good.rate,
            reference: good.reference)
        #expect(try await exchange.convert(turned) == .currencyMismatch)
        #expect(try await bank.count("ledger.conversion") == 0)
        #expect(try await exchange.convert(good) == .created)
        #expect(try await bank.verify().findings == [])
    }

    @Test("A conversion moves both legs once, leaves the rate and both positions, and each currency sums to zero")
    func converts() async throws {
        let exchange = try await Exchange()
        let conversion = try exchange.conversion(10_000, 10_842, "1.0842")
        #expect(try await exchange.convert(conversion) == .created)
        #expect(try await exchange.convert(conversion) == .exists)
        #expect(try await [exchange.bank.balance(exchange.euros), exchange.bank.balance(exchange.dollars)] == [0, 10_842])
        #expect(try await [exchange.position("EUR"), exchange.position("USD")] == [10_000, -10_842])
        for (other, field) in [
            (try exchange.conversion(10_000, 10_842, "1.0842", id: conversion.id), "bought_id"),
            (try exchange.conversion(10_000, 10_842, "1.08424", id: conversion.id, boughtID: conversion.boughtID), "rate"),
            (try exchange.conversion(10_000, 10_842, "1.0842", id: conversion.id, boughtID: conversion.boughtID, reference: "x"), "reference"),
            (try exchange.conversion(1, 1, "1.0842", boughtID: conversion.boughtID), "bought_id"),
        ] { #expect(try await exchange.convert(other) == .idConflict(field: field)) }
        #expect(try await exchange.bank.count("ledger.conversion") == 1)
        #expect(try await exchange.bank.verify().findings == [])
    }

    @Test("What the balances refuse moves neither leg and stays refused; money that comes in later needs new ids")
    func insufficient() async throws {
        let exchange = try await Exchange(99)
        let conversion = try exchange.conversion(100, 108, "1.08")
        #expect(try await exchange.convert(conversion) == .insufficientFunds)
        #expect(try await exchange.bank.post(exchange.bank.transfer(exchange.bank.funding, exchange.euros, 100)) == .created)
        #expect(try await exchange.convert(conversion) == .insufficientFunds)
        #expect(try await exchange.convert(exchange.conversion(100, 108, "1.08")) == .created)
        #expect(try await exchange.bank.balance(exchange.dollars) == 108)
        #expect(try await exchange.bank.verify().findings == [])
    }

    @Test("The same conversion sent many times at once is done once; of many that empty the account, as many as it covers")
    func races() async throws {
        let exchange = try await Exchange(300)
        let one = try exchange.conversion(100, 108, "1.08")
        let same = try await inParallel(20) { _ in try await exchange.convert(one) }
        #expect(same.count(of: .created) == 1 && same.count(of: .exists) == 19)
        let many = try await inParallel(20) { _ in try await exchange.convert(exchange.conversion(100, 108, "1.08")) }
        #expect(many.count(of: .created) == 2 && many.count(of: .insufficientFunds) == 18)
        #expect(try await exchange.bank.balance(exchange.dollars) == 324)
        #expect(try await exchange.bank.verify().findings == [])
    }

    @Test("Half a minor unit goes up, in currencies of no, two and three decimals", arguments: [
        (1_000, "EUR", "JPY", "158.45", 1_585), (1, "EUR", "USD", "0.5", 1), (1, "EUR", "USD", "0.499999999999", 0), (15, "JPY", "KWD", "0.0021", 32),
        (1_234, "KWD", "EUR", "2.995", 370), (3, "KWD", "JPY", "500", 2), (9_007_199_254_740_991, "EUR", "EUR", "1", 9_007_199_254_740_991),
        (5, "TND", "TND", "0.1", 1), (1_000_000_000_000, "EUR", "USD", "1.000000000005", 1_000_000_000_005),
    ] as [(Int64, String, String, String, Int64)])
    func rounding(amount: Int64, from: String, to: String, rate: String, expected: Int64) async throws {
        let bank = try await shared.value
        let converted = OneValue("SELECT ledger.converted(\(amount), \(from), \(to), (\(rate)::text)::numeric)::bigint", of: Int64.self)
        #expect(try await bank.city.owner.one(converted) == expected)
    }

    @Test("The database and the program have the same decimals of every currency")
    func decimals() async throws {
        let bank = try await shared.value
        let letters = (UInt8(ascii: "A")...UInt8(ascii: "Z")).map { String(UnicodeScalar($0)) }
        let currencies = letters.flatMap { a in letters.flatMap { b in letters.map { a + b + $0 } } }.compactMap { Currency(code: $0) }
        let digits = OneValue("SELECT ledger.minor_digits(u.code) FROM unnest(\(currencies.map(\.code))) WITH ORDINALITY AS u (code, place) ORDER BY u.place", of: Int32.self)
        #expect(try await bank.city.owner.query(digits).map(Int.init) == currencies.map(\.minorUnits))
    }

    @Test("A position moves by conversions alone: not by a transfer, a hold or a reversal, of the organisation or of the owner, nor by one leg")
    func positions() async throws {
        let exchange = try await Exchange()
        let (bank, conversion) = (exchange.bank, try exchange.conversion(5_000, 5_400, "1.08"))
        #expect(try await exchange.convert(conversion) == .created)
        let ids = OneValue("SELECT id FROM ledger.account WHERE kind = 'position' ORDER BY currency", of: UUID.self)
        let positions = try await bank.city.owner.query(ids).map { LedgerAccountID($0) }
        let sale = bank.transfer(exchange.euros, positions[0], 5_000, id: conversion.id)
        #expect(
            try await bank.post([
                bank.transfer(positions[0], exchange.euros, 1), bank.transfer(exchange.euros, positions[0], 1), bank.hold(positions[0], exchange.euros, 1),
                bank.reversal(of: sale),
            ]) == [
                .accountUnknown(field: "debit_account"), .accountUnknown(field: "credit_account"), .accountUnknown(field: "debit_account"),
                .accountUnknown(field: "debit_account"),
            ])
        let byOwner: [SQL] = [
            """
            SELECT ledger.post_transfers(ARRAY[gen_random_uuid()], '{post}', ARRAY[\(positions[0])], ARRAY[\(exchange.euros)], '{1}', '{EUR}', '{x}', '{NULL}', '{system}', '{x}')
            """, "SELECT ledger.follow_up(gen_random_uuid(), 'reversal', \(conversion.id), NULL, 'x', 'system', 'x')",
        ]
        for statement in byOwner {
            let error = await #expect(throws: DatabaseError.self) { try await bank.city.owner.execute(statement) }
            #expect(error?.constraint == "transfer_balanced")
        }
        let row: SQL = """
            INSERT INTO ledger.conversion
            SELECT gen_random_uuid(), gen_random_uuid(), c.from_account, c.sold_position, c.bought_position, c.to_account, c.sold_amount, c.sold_currency
            """
        let refused = await #expect(throws: DatabaseError.self) {
            try await bank.city.owner.execute("\(row), c.bought_amount + 1, c.bought_currency, c.rate, '' FROM ledger.conversion AS c")
        }
        #expect(refused?.constraint == "conversion_agrees")
        // One leg of a conversion that was written by hand.
        try await bank.city.owner.execute("\(row), c.bought_amount, c.bought_currency, c.rate, 'half' FROM ledger.conversion AS c")
        let half = try await bank.city.owner.one(OneValue("SELECT id FROM ledger.conversion WHERE reference = 'half'", of: UUID.self))
        let leg = bank.transfer(exchange.euros, positions[0], 5_000, id: TransferID(half))
        let error = await #expect(throws: DatabaseError.self) { try await bank.administration.post([leg], occasion: "test") }
        #expect(error?.constraint == "transfer_balanced")
        #expect(try await bank.verify().findings == [])
        try await bank.city.test.psql("SET session_replication_role = replica; UPDATE ledger.transfer SET amount = 4999 WHERE id = '\(conversion.id)'")
        #expect(try await bank.verify().findings.contains { $0.kind == "conversion" && $0.subject == conversion.id.description })
    }

    @Test("The interface takes the rate as a decimal text and names every bad field")
    func interface() async throws {
        try await LedgerCaller.serve { bank, caller, _ in
            let (euros, dollars) = (try await caller.open(), try await bank.account(0, .usd).uuid)
            #expect(try await caller.transfer(bank.funding.uuid, euros, 1_000).status == 201)
            let good = """
                {"id":"\(UUID())","bought_id":"\(UUID())","debit_account":"\(euros)","credit_account":"\(dollars)","amount":1000,"currency":"EUR",\
                "bought_amount":1084,"bought_currency":"USD","rate":"1.0842","reference":"travel"}
                """
            for (old, new, field) in [
                (#""1.0842""#, "1.0842", "rate"), (#""1.0842""#, #""1.0842e0""#, "rate"), (#""1.0842""#, #""-1""#, "rate"), (#""1.0842""#, #""0.00""#, "rate"),
                (#""1.0842""#, #""1.0000000000001""#, "rate"), (#""USD""#, #""EUR""#, "bought_currency"), ("1084,", "0,", "bought_amount"),
            ] {
                let answer = try await caller.api.post("/api/v1/ledger/conversions", good.replacing(old, with: new))
                #expect(answer.status == 400 && answer.json["errors"]?.elements.first?["field"]?.text == field, "\(answer.text)")
            }
            let mismatch = try await caller.api.post("/api/v1/ledger/conversions", good.replacing("1084,", with: "1085,"))
            #expect(mismatch.status == 422 && mismatch.json["result"] == "rate_mismatch" && mismatch.json["field"] == "bought_amount")
            let made = try await caller.api.post("/api/v1/ledger/conversions", good)
            #expect(made.status == 201 && made.json["result"] == "created" && made.json["rate"] == "1.0842")
            #expect(try await caller.api.post("/api/v1/ledger/conversions", good).status == 200)
        }
    }
}

/// One bank for questions that change nothing.
private let shared = Task { try await Bank() }
