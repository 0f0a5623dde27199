// What the code of a bill says. That a reader other than ours reads it so is tested from outside (Tests/Conformance/test_bills.py).
import Primitives
import Testing
import Web

@testable import Payments

@Suite("Codes for bank transfers")
struct TransferCodeTests {
    private let reference = CreditorReference("RF18539007547034")

    @Test("The lines of EPC069-12, with nothing where nothing is said")
    func lines() throws {
        let reference = try #require(reference)
        let code = try #require(
            TransferCode(holder: "Ville d’Été", account: "GB82WEST12345698765432", amount: Money(minorUnits: 1_205, currency: .eur), reference: reference))
        #expect(code.text == "BCD\n002\n1\nSCT\n\nVille d’Été\nGB82WEST12345698765432\nEUR12.05\n\nRF18539007547034")
        let drawing = try #require(code.drawing())
        #expect(drawing.path.hasPrefix("M4 4.5h7"))
        // Version 13 has 69 modules; beside them four on each side.
        let size = try #require(Int(drawing.size))
        #expect(size <= 69 + 8 && (size - 8 - 17) % 4 == 0)
    }

    @Test("What the guidelines have no room for has no code")
    func none() throws {
        let reference = try #require(reference)
        let make = { (holder: String, account: String, amount: Money) in TransferCode(holder: holder, account: account, amount: amount, reference: reference) }
        let euro = Money(minorUnits: 1, currency: .eur)
        #expect(make("City", "GB82WEST12345698765432", euro) != nil)
        #expect(make("City", "GB82WEST12345698765432", Money(minorUnits: 1, currency: .usd)) == nil)
        #expect(make("City", "GB82WEST12345698765432", .zero(.eur)) == nil)
        #expect(make("City", "GB82WEST12345698765432", Money(minorUnits: 100_000_000_000, currency: .eur)) == nil)
        #expect(make("City", "1234567890", euro) == nil)
        #expect(make("", "GB82WEST12345698765432", euro) == nil)
        #expect(make("City\nEUR1", "GB82WEST12345698765432", euro) == nil)
        #expect(make(String(repeating: "x", count: 71), "GB82WEST12345698765432", euro) == nil)
    }
}
