// What every way in has in common: an attempt is counted before anybody looks whether it is right, by identity.count_attempt (0004_identity.sql), and what its
// person is told. One counter for all routes to the same factor.
import Foundation
import Hummingbird
import HTTPTypes
import Postgres
import Web

public enum SignInError: Error, Sendable, Hashable {
    /// Unknown name or wrong password; nobody is told which.
    case wrongNameOrPassword
    /// Too many failures from this address. Other ways and other addresses are not affected.
    case tooManyAttempts(waitMinutes: Int)
    /// A hundred failures in a row, from wherever: this factor is closed until the account is recovered. Other ways are not affected.
    case closed
}

/// Whether an attempt is looked at.
enum AttemptOutcome: Sendable {
    case counted
    case wait(minutes: Int)
    case closed

    init(_ word: String, waitMinutes: Int) throws {
        switch word {
        case "counted": self = .counted
        case "wait": self = .wait(minutes: waitMinutes)
        case "closed": self = .closed
        default: throw DatabaseError.decoding(column: "outcome", reason: "is a word that this server does not know")
        }
    }

    /// What is told to somebody whose attempt is not looked at.
    var refusal: SignInError? {
        switch self {
        case .counted: nil
        case .wait(let minutes): .tooManyAttempts(waitMinutes: minutes)
        case .closed: .closed
        }
    }
}

extension FormReader {
    /// Says at a field why an attempt was not looked at, or was wrong.
    /// - Parameter wrong: key of what is said of a wrong one.
    mutating func reject(_ field: String, _ error: SignInError, wrong: String, in context: some PageContext) {
        switch error {
        case .wrongNameOrPassword: reject(field, wrong)
        case .tooManyAttempts(let minutes): reject(field, "identity.wait.\(minutes == 1 ? "minute" : "minutes")", ["minutes": context.format.number(minutes)])
        case .closed: reject(field, "identity.closed")
        }
    }
}

extension SignInError {
    /// The status of the page that comes back, and how long to wait in the seconds of `Retry-After`.
    var status: (HTTPResponse.Status, retryAfterSeconds: Int?) {
        switch self {
        case .wrongNameOrPassword: (.unprocessableContent, nil)
        case .tooManyAttempts(let minutes): (.tooManyRequests, minutes * 60)
        case .closed: (.forbidden, nil)
        }
    }
}
