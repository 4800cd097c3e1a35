/**
 * Set up before the tests of a mutation run: a property is tried for half a second, not for its full count. A mutant
 * that needs a long search to be found counts as a survivor; what is asked of the tests is that they state the behaviour.
 */
import fc from 'fast-check';

fc.configureGlobal({ interruptAfterTimeLimit: 500 });
