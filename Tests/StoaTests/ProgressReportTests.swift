// What people and logs see of long work.
import Foundation
import Testing

@testable import Stoa

@Suite("Progress report")
struct ProgressReportTests {
    private func output(isTerminal: Bool, _ body: (ProgressReport) -> Void) -> String {
        let said = Said()
        body(ProgressReport("Importing", isTerminal: isTerminal, write: { said.append($0) }))
        return said.sentences.joined()
    }

    @Test func drawsABarOnATerminal() {
        let drawn = output(isTerminal: true) { report in
            report.update(0, of: 200)
            report.finish(200, of: 200)
        }
        #expect(drawn == "\rImporting ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 0/200 0 %\rImporting ████████████████████████████████ 200/200 100 %\n")
    }

    @Test func writesPlainLinesElsewhereAndNotTooMany() {
        let written = output(isTerminal: false) { report in
            for done in 0..<1_000 { report.update(done, of: 1_000) }
            report.finish(1_000, of: 1_000)
        }
        #expect(written == "Importing: 0 of 1000 (0 %)\nImporting: 1000 of 1000 (100 %)\n")
        #expect(!written.contains("\r"))
    }

    @Test func leavesNothingOfALongerLine() {
        let drawn = output(isTerminal: true) { report in
            report.finish(1_000_000, of: 1_000_000)
            report.finish(1, of: 1)
        }
        let lines = drawn.split(separator: "\r").map { $0.replacingOccurrences(of: "\n", with: "") }
        #expect(lines.count == 2 && lines[0].count == lines[1].count)
    }

    @Test func saysASentenceOutOfTheBarsWay() {
        let drawn = output(isTerminal: true) { report in
            report.update(1, of: 2, amount: "1 record")
            report.say("Record 1 is refused.")
            report.finish(2, of: 2, amount: "2 records")
        }
        let lines = drawn.split(separator: "\n").map { String($0.split(separator: "\r").last ?? "") }
        #expect(lines == ["Record 1 is refused.", "Importing ████████████████████████████████ 2 records 100 %"])
        #expect(output(isTerminal: false) { $0.say("Record 1 is refused.") } == "Record 1 is refused.\n")
    }

    @Test func countsWhatHasNoKnownEnd() {
        #expect(output(isTerminal: false) { $0.finish(7, of: 0) } == "Importing: 7\n")
    }
}
