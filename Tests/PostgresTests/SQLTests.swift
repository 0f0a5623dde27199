// The statement literal, without a database.
import Foundation
import Testing

@testable import Postgres

@Suite struct SQLTests {
    @Test func interpolationBinds() {
        let name = "Robert'); DROP TABLE residents;--"
        let sql: SQL = "SELECT \(1), \(name) WHERE \(true)"
        #expect(sql.text == "SELECT $1, $2 WHERE $3")
        #expect(sql.binds.binds.map(\.type) == [20, 25, 16])
        #expect(sql.binds.binds.map(\.length) == [8, Int32(name.utf8.count), 1])
    }

    @Test func joiningRenumbers() {
        let left: SQL = "SELECT \(1), \(2)"
        let right: SQL = " WHERE a = \("x") AND b = '$1' AND c = \("y")"
        #expect((left + right).text == "SELECT $1, $2 WHERE a = $3 AND b = '$1' AND c = $4")
        #expect((left + " LIMIT 1").text == "SELECT $1, $2 LIMIT 1")
        #expect(("EXPLAIN " + left).text == "EXPLAIN SELECT $1, $2")
        #expect((("EXPLAIN " + left) + right).text == "EXPLAIN SELECT $1, $2 WHERE a = $3 AND b = '$1' AND c = $4")
        #expect((left + right).binds.binds.map(\.type) == [20, 20, 25, 25])
    }

    @Test func renumberingKeepsNumbersOfTwoDigits() {
        var left: SQL = "SELECT \(0)"
        for number in 1..<12 { left += ", \(number)" }
        let nested: SQL = "(\(left)) UNION (\(left))"
        #expect(nested.text.hasSuffix("$23, $24)"))
        #expect(nested.text.hasPrefix("(SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) UNION (SELECT $13, $14"))
        #expect(nested.binds.binds.count == 24)
    }

    @Test func rawTextIsNotBound() {
        let sql: SQL = "SELECT \(unsafeRaw: "now()"), \(5)"
        #expect(sql.text == "SELECT now(), $1")
    }

    @Test func nullKeepsItsType() {
        func select<Value: Bindable>(_ value: Value) -> SQL { "SELECT \(value)" }
        let sql = select(String?.none)
        #expect(sql.binds.binds.map(\.type) == [25])
        #expect(sql.binds.binds.map(\.length) == [-1])
        #expect(sql.binds.bytes.isEmpty)
    }

    @Test func bindsAreNotPrinted() {
        let sql: SQL = "SELECT \("secret of Ada")"
        var dumped = ""
        dump(sql, to: &dumped)
        for text in ["\(sql)", String(reflecting: sql), dumped] {
            #expect(!text.contains("Ada"))
        }
    }

    @Test(arguments: [
        ("select 1", "SELECT"), ("  \n-- BEGIN\n /* BEGIN */ set x = 1", "SET"), ("", ""), ("/* open", ""), ("COPY t FROM STDIN", "COPY"),
        ("/* a /* b */ c */ ;; BEGIN", "BEGIN"), ("--\r\nEND", "END"), ("$1", ""), ("1 BEGIN", ""),
    ])
    func firstWords(text: String, word: String) {
        #expect(leadingWords(of: text, 1).first ?? "" == word)
    }

    @Test(arguments: [
        ("commit and chain", true), ("ROLLBACK", true), ("rollback /* all */ work", true), ("PREPARE TRANSACTION 'x'", true), ("start transaction", true),
        ("ROLLBACK TO here", false), ("rollback transaction to savepoint here", false), ("SAVEPOINT commit", false), ("RELEASE a", false),
        ("PREPARE x AS SELECT 1", false), ("SET TRANSACTION READ ONLY", false), ("SELECT 'COMMIT'", false), ("", false),
    ])
    func whatControlsATransaction(text: String, controls: Bool) {
        #expect(controlsTransaction(text) == controls)
    }

    @Test func preparedStatementsAreBoundedAndForgetTheOldest() {
        var prepared = PreparedStatements()
        func key(_ number: Int) -> StatementKey { StatementKey(SQL(unsafeRaw: "SELECT \(number)")) }
        for number in 0..<PreparedStatements.statementsMax {
            guard case .prepare = prepared.way(for: key(number)) else { Issue.record("not new"); return }
            // Until confirmed, the same text goes unprepared.
            guard case .unprepared = prepared.way(for: key(number)) else { Issue.record("taken for prepared"); return }
            prepared.confirm(key(number))
        }
        guard case .named(let name) = prepared.way(for: key(0)) else { Issue.record("forgotten"); return }
        guard case .prepare = prepared.way(for: key(-1)) else { Issue.record("not new"); return }
        let discarded = prepared.takeDiscarded()
        #expect(discarded.count == 1)
        #expect(discarded.first != name)
        #expect(prepared.contains(key(0)))
        #expect(!prepared.contains(key(1)))
        #expect(prepared.takeDiscarded().isEmpty)
    }

    @Test func typesTellStatementsApart() {
        #expect(StatementKey("SELECT \(1)") != StatementKey("SELECT \("1")"))
        #expect(StatementKey("SELECT \(1)") == StatementKey("SELECT \(2)"))
    }
}
